package port

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func mustParse(t *testing.T, values ...string) []Publish {
	t.Helper()
	list, err := Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func mustBind(t *testing.T, values ...string) []Bound {
	t.Helper()
	list, err := Bind(mustParse(t, values...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { CloseAll(list) })
	return list
}

// reach says whether a client gets through to a socket of Bind over an address of the host.
func reach(t *testing.T, b Bound, host string) bool {
	t.Helper()
	c, err := net.Dial(b.Proto.String(), net.JoinHostPort(host, fmt.Sprint(b.HostPort)))
	if err != nil {
		return false
	}
	defer func() { _ = c.Close() }()
	if b.Proto == TCP {
		return true // it waits in the queue
	}
	if _, err := c.Write([]byte("x")); err != nil {
		return false
	}
	var got [8]byte
	n, _, err := unix.Recvfrom(b.FD, got[:], unix.MSG_DONTWAIT)
	return err == nil && string(got[:n]) == "x"
}

// A port that its owner is about to give up is waited for; the last that holds it here is a message under way, as no process has it
// whose descriptors are gone already.
func TestBindEnding(t *testing.T) {
	held := mustBind(t, "127.0.0.1:0:80")[0]
	again := mustParse(t, fmt.Sprintf("127.0.0.1:%d:80", held.HostPort))
	if _, err := Bind(again); err == nil || err.(*BindError).Ending { //nolint:errorlint // it is what Bind returns
		t.Fatalf("a port that this process has: %v", err)
	}
	ends, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(ends[1])
	copied, err := unix.Dup(held.FD)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Sendmsg(ends[0], []byte{0}, unix.UnixRights(copied), nil, 0); err != nil {
		t.Fatal(err)
	}
	for _, fd := range []int{copied, ends[0]} {
		_ = unix.Close(fd)
	}
	// In the place of the first, whose number is not to be closed twice.
	if err := unix.Dup3(ends[1], held.FD, unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	if _, err := Bind(again); err == nil || time.Since(begun) < endingTime {
		t.Errorf("after %v: %v", time.Since(begun), err)
	}
	go func() {
		time.Sleep(50 * time.Millisecond)
		_, _ = unix.Read(ends[1], make([]byte, 1)) // without room for the descriptor, which is closed
	}()
	bound, err := Bind(again)
	if err != nil {
		t.Fatal(err)
	}
	CloseAll(bound)
}

// Free ports of one port inside share a number where they can.
func TestBindFreeNumbers(t *testing.T) {
	list := mustBind(t, ":80", "127.0.0.1::80", "[::1]::80", ":80/udp")
	if list[0].HostPort != list[3].HostPort || list[1].HostPort != list[2].HostPort || list[0].HostPort == list[1].HostPort {
		t.Errorf("bound %v", list)
	}
}

func TestBindTakesBothFamilies(t *testing.T) {
	for _, b := range mustBind(t, ":80", ":81/udp") {
		for _, host := range []string{"127.0.0.1", "::1"} {
			if !reach(t, b, host) {
				t.Errorf("%v is not reached over %s", b, host)
			}
		}
	}
}

func TestBindKeepsToTheAddress(t *testing.T) {
	for _, c := range []struct{ value, yes, no string }{
		{"127.0.0.1::80", "127.0.0.1", "127.0.0.2"},
		{"127.0.0.1::80", "127.0.0.1", "::1"},
		{"0.0.0.0::80/udp", "127.0.0.1", "::1"},
		{"[::]::80", "::1", "127.0.0.1"},
		{"[::]::80/udp", "::1", "127.0.0.1"},
	} {
		b := mustBind(t, c.value)[0]
		if !reach(t, b, c.yes) || reach(t, b, c.no) {
			t.Errorf("-p %s: %v over %s, %v over %s", c.value, reach(t, b, c.yes), c.yes, reach(t, b, c.no), c.no)
		}
	}
}

func TestFreePortsOfOnePortAreOneNumber(t *testing.T) {
	list := mustBind(t, ":53", "127.0.0.1::80", ":53/udp", "[::1]::80/udp", "127.0.0.1::90-92")
	if list[0].HostPort == 0 || list[0].HostPort != list[2].HostPort {
		t.Errorf("53: %v and %v", list[0], list[2])
	}
	if list[1].HostPort == 0 || list[1].HostPort != list[3].HostPort {
		t.Errorf("80: %v and %v", list[1], list[3])
	}
	if len(list) != 7 || list[6].Port != 92 || list[5].HostPort == list[6].HostPort {
		t.Errorf("90-92: %v", list[4:])
	}
}

func TestBindRange(t *testing.T) {
	// A row of ports that is free now: below the range of which the kernel gives out.
	const first = 21000
	list, err := Bind(mustParse(t, fmt.Sprintf("127.0.0.1:%d-%d:80-89", first, first+9)))
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range list {
		if b.HostPort != uint16(first+i) || b.Port != uint16(80+i) || b.Count != 1 || !reach(t, b, "127.0.0.1") {
			t.Errorf("%d: %v", i, b)
		}
	}
	args := ForwardArgs(list)
	if want := fmt.Sprintf("%d=tcp:81", list[1].FD); len(args) != 10 || args[1] != want {
		t.Errorf("arguments %q, want %q", args, want)
	}
	CloseAll(list)
	if reach(t, list[3], "127.0.0.1") {
		t.Error("something listens after CloseAll")
	}
	// The last of a range is busy: none is held.
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", first+9))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if again, err := Bind(mustParse(t, fmt.Sprintf("127.0.0.1:%d-%d:80-89", first, first+9))); err == nil || again != nil {
		t.Fatalf("%v, %v", again, err)
	}
	if reach(t, list[3], "127.0.0.1") {
		t.Error("something listens after an error")
	}
}

func TestBusyPortNamesItsOwner(t *testing.T) {
	name, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ network, address, value string }{
		{"tcp", "127.0.0.1:0", "127.0.0.1:%d:80"},
		{"tcp", "127.0.0.1:0", "%d:80"},
		{"tcp", "0.0.0.0:0", "127.0.0.1:%d:80"},
		{"tcp", "[::]:0", "127.0.0.1:%d:80"},
		{"tcp", "[::1]:0", "[::1]:%d:80"},
		{"udp", "127.0.0.1:0", "%d:80/udp"},
		{"udp", "[::1]:0", "[::]:%d:80/udp"},
	} {
		var number int
		if c.network == "tcp" {
			l, err := net.Listen(c.network, c.address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			number = l.Addr().(*net.TCPAddr).Port
		} else {
			l, err := net.ListenPacket(c.network, c.address)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = l.Close() }()
			number = l.LocalAddr().(*net.UDPAddr).Port
		}
		value := fmt.Sprintf(c.value, number)
		_, err := Bind(mustParse(t, value))
		want := fmt.Sprintf("in use by %s (process %d)", strings.TrimSpace(string(name)), os.Getpid())
		if !errors.Is(err, unix.EADDRINUSE) || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s is held, -p %s: %v; want %s", c.address, value, err, want)
		}
		var e *BindError
		if !errors.As(err, &e) || !strings.Contains(e.Hint(), "takes a free port") {
			t.Errorf("hint of %#v", err)
		}
	}
}

func TestNotAnAddressOfTheHost(t *testing.T) {
	_, err := Bind(mustParse(t, "203.0.113.7:8080:80"))
	if want := "bind 203.0.113.7:8080/tcp: not an address of this host"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = Bind(mustParse(t, "[fe80::1%nowhere]:8080:80/udp"))
	if want := "bind [fe80::1%nowhere]:8080/udp: no such interface: nowhere"; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

func TestLowPort(t *testing.T) {
	e := &BindError{
		Publish:  Publish{Host: netip.MustParseAddr("127.0.0.1"), HostPort: 80, Port: 80, Count: 1},
		LowPorts: 1024, Err: os.NewSyscallError("bind", unix.EACCES),
	}
	if want := "bind 127.0.0.1:80/tcp: ports below 1024 are the administrator's"; e.Error() != want {
		t.Errorf("message %q, want %q", e, want)
	}
	for _, remedy := range []string{"-p 127.0.0.1:8080:80 ", "sudo sysctl net.ipv4.ip_unprivileged_port_start=80 ", "--listen-fd"} {
		if !strings.Contains(e.Hint(), remedy) {
			t.Errorf("hint %q lacks %q", e.Hint(), remedy)
		}
	}
	// The real thing, where it is refused.
	if _, err := Bind(mustParse(t, "127.0.0.1:81:80")); errors.Is(err, unix.EACCES) {
		var e *BindError
		if !errors.As(err, &e) || e.LowPorts <= 81 {
			t.Errorf("%#v", err)
		}
	}
}

func TestSocketLine(t *testing.T) {
	for _, c := range []struct{ line, local string }{
		{"   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 12345 1 0 100 0 0 10 0", "127.0.0.1:8080"},
		{"   0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1", "[::1]:80"},
		{"   0: 0000000000000000FFFF0000020200C0:0050 0:0 0A 0:0 00:0 0 0 0 1", "192.0.2.2:80"},
		{"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", ""},
		{"", ""},
		{"0: 0100007F 0 0A 0 0 0 0 0 1 1", ""},
	} {
		s, ok := parseSocketLine(c.line)
		if ok != (c.local != "") || ok && s.local.String() != c.local {
			t.Errorf("%q: %v, %v", c.line, s, ok)
		}
	}
}
