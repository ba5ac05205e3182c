package usermode

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseRoutes(t *testing.T) {
	table := `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
*	0000000A	00000000	0201	0	0	0	000000FF	0	0	0
wg0	0000000A	00000000	0001	0	0	0	0000FFFF	0	0	0
eth0	00000`
	list, byDefault := parseRoutes([]byte(table))
	if len(list) != 2 || list[0].String() != "192.0.2.0/24" || list[1].String() != "10.0.0.0/16" || !byDefault {
		t.Errorf("%v, %v", list, byDefault)
	}
	for _, none := range []string{"", "\n", strings.Replace(table, "0003", "0203", 1)} {
		if _, byDefault := parseRoutes([]byte(none)); byDefault {
			t.Errorf("%q: a default route", none)
		}
	}
}

func TestParseResolver(t *testing.T) {
	r := parseResolver([]byte("# nameserver 1.1.1.1\nnameserver\t127.0.0.53 # stub\n;x\ndomain a.example\nnameserver fe80::1%eth0\n" +
		"nameserver nonsense\nnameserver ::ffff:192.0.2.3\nnameserver 192.0.2.4\noptions edns0\noptions ndots:2 ; more\nsearch b.example c.example"))
	if len(r.Servers) != 3 || r.Servers[0].String() != "127.0.0.53" || r.Servers[1].String() != "fe80::1%eth0" || r.Servers[2].String() != "192.0.2.3" {
		t.Errorf("servers %v", r.Servers)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("nameserver 127.0.0.53\nsearch a b\noptions ndots:1\n"))
	f.Add([]byte("x\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := parseResolver(b)
		if len(r.Servers) > maxServers {
			t.Errorf("%d servers", len(r.Servers))
		}
		list, _ := parseRoutes(b)
		for _, p := range list {
			if !p.IsValid() || p.Bits() == 0 {
				t.Errorf("route %v", p)
			}
		}
	})
}

func TestTun(t *testing.T) {
	dir := t.TempDir()
	if got := probeTun(dir + "/none"); got != TunMissing {
		t.Errorf("missing: %v", got)
	}
	if err := os.WriteFile(dir+"/tun", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := probeTun(dir + "/tun"); got != TunUsable {
		t.Errorf("usable: %v", got)
	}
	if err := os.Chmod(dir+"/tun", 0); err != nil {
		t.Fatal(err)
	}
	if got := probeTun(dir + "/tun"); got != TunForbidden && os.Geteuid() != 0 {
		t.Errorf("forbidden: %v", got)
	}
	// A socket is opened with ENXIO, as a device is whose driver is not there.
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: dir + "/socket"}); err != nil {
		t.Fatal(err)
	}
	if got := probeTun(dir + "/socket"); got != TunNoModule {
		t.Errorf("no module: %v", got)
	}
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"yes": 0o755, "no": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(dir+"/dir", 0o755); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	for name, want := range map[string]string{"yes": dir + "/yes", "no": "", "dir": "", "none": ""} {
		if got := find(".::/nonexistent:"+dir, name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := find(".:", "yes"); got != "" {
		t.Errorf("in the working directory: %q", got)
	}
}

func TestFeatures(t *testing.T) {
	dir := t.TempDir()
	pastaIsNew := func(path string) bool { h := Host{Pasta: path}; h.lookAtPasta(); return h.PastaIsNew }
	pastaStays := func(path string) bool { h := Host{Pasta: path}; h.lookAtPasta(); return h.PastaStays }
	slirpIsOld := func(path string) bool { h := Host{Slirp4netns: path}; h.lookAtSlirp(); return h.SlirpIsOld }
	slirpHasNames := func(path string) bool { h := Host{Slirp4netns: path}; h.lookAtSlirp(); return h.SlirpHasNames }
	program := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return filepath.Join(dir, name)
	}
	// A name across the border of what is read at once.
	padding := strings.Repeat("x", partSize-5)
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"new":         {"\x7fELF config-net\x00map-host-loopback\x00", true},
		"old":         {"\x7fELF config-net\x00", false},
		"cut new":     {padding + "map-host-loopback config-net", true},
		"cut old":     {padding + "config-net", false},
		"starter":     {"#!/bin/sh\necho '  --map-host''-loopback ADDR' | tr -d \\' >&2\nexit 1\n", true},
		"old starter": {"#!/bin/sh\necho hm\n", false},
	} {
		if got := pastaIsNew(program(name, test.text)); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	if pastaIsNew(dir + "/none") {
		t.Error("what does not exist is new")
	}
	// The other driver's options are looked for in the same way.
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"slirp":             {"\x7fELF ready-fd\x00enable-sandbox\x00enable-seccomp\x00", false},
		"old slirp":         {"\x7fELF ready-fd\x00disable-host-loopback\x00", true},
		"slirp starter":     {"#!/bin/sh\necho ' --enable-''seccomp' | tr -d \\'\n", false},
		"old slirp starter": {"#!/bin/sh\necho hm\n", true},
	} {
		if got := slirpIsOld(program(name, test.text)); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for name, test := range map[string]struct {
		of   func(string) bool
		text string
		want bool
	}{
		"quitting pasta":    {pastaStays, "\x7fELF no-netns-quit\x00config-net\x00", false},
		"staying pasta":     {pastaStays, "\x7fELF config-net\x00", true},
		"staying new pasta": {pastaStays, padding + "config-net map-host-loopback", true},
		"slirp 1.2":         {slirpHasNames, padding + "disable-dns\x00enable-seccomp\x00ready-fd", false},
		"slirp 1.0":         {slirpHasNames, "\x7fELF ready-fd\x00enable-seccomp\x00", true},
		"slirp 1.2 starter": {slirpHasNames, "#!/bin/sh\necho ' --disable-''dns --ready-''fd' | tr -d \\'\n", false},
	} {
		if got := test.of(program(name, test.text)); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestReadSmall(t *testing.T) {
	path := t.TempDir() + "/file"
	big := bytes.Repeat([]byte("0123456789abcdef"), 5<<10)
	if err := os.WriteFile(path, big, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readSmall(path); len(got) != maxSmall || !bytes.HasPrefix(big, got) {
		t.Errorf("%d bytes", len(got))
	}
	if err := unix.Mkfifo(path+".fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	if got := readSmall(path + ".fifo"); len(got) != 0 {
		t.Errorf("fifo: %q", got)
	}
}

// What there is on the machine is not known; that nothing breaks is.
func TestProbe(t *testing.T) {
	h := Probe(os.Getenv("PATH"), Auto)
	t.Logf("%+v", h)
	if h.PastaIsNew && h.Pasta == "" {
		t.Error("new, but not there")
	}
}

func BenchmarkProbe(b *testing.B) {
	for b.Loop() {
		Probe(os.Getenv("PATH"), Auto)
	}
}
