package userns

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func plant(t *testing.T, dir, name, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestInspectHelper(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "directory"), 0o700); err != nil {
		t.Fatal(err)
	}
	setuid := "setuid, but its owner is not root"
	if os.Geteuid() == 0 {
		setuid = ""
	}
	for _, c := range []struct {
		name, path, problem string
		absent              bool
	}{
		{name: "absent", path: filepath.Join(dir, "absent"), absent: true},
		{name: "directory", path: filepath.Join(dir, "directory"), absent: true},
		{name: "not executable", path: plant(t, dir, "plain", "", 0o600), absent: true},
		{name: "no privilege", path: plant(t, dir, "bare", "", 0o700), problem: "neither setuid root nor with the file capability cap_setuid"},
		{name: "setuid", path: plant(t, dir, "setuid", "", os.ModeSetuid|0o700), problem: setuid},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, ok := inspectHelper(c.path, unix.CAP_SETUID)
			if ok == c.absent {
				t.Fatalf("executable: %v", ok)
			}
			if c.absent {
				return
			}
			if h.Path != c.path || (h.Problem == "") != (c.problem == "") || !strings.Contains(h.Problem, c.problem) {
				t.Errorf("got %+v, want problem %q", h, c.problem)
			}
		})
	}
}

func TestFileCapability(t *testing.T) {
	for _, c := range []struct {
		name             string
		size             int
		magic, permitted uint32
		capability       int
		want             bool
	}{
		{"setuid, effective", 20, 0x02000001, 1 << unix.CAP_SETUID, unix.CAP_SETUID, true},
		{"setgid, effective", 20, 0x02000001, 1 << unix.CAP_SETGID, unix.CAP_SETGID, true},
		{"revision 3", 24, 0x03000001, 1 << unix.CAP_SETUID, unix.CAP_SETUID, true},
		{"revision 1", 12, 0x01000001, 1 << unix.CAP_SETUID, unix.CAP_SETUID, true},
		{"permitted only", 20, 0x02000000, 1 << unix.CAP_SETUID, unix.CAP_SETUID, false},
		{"the other one", 20, 0x02000001, 1 << unix.CAP_SETGID, unix.CAP_SETUID, false},
		{"short", 8, 0x02000001, 1 << unix.CAP_SETUID, unix.CAP_SETUID, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			attr := make([]byte, 24)
			binary.LittleEndian.PutUint32(attr, c.magic)
			binary.LittleEndian.PutUint32(attr[4:], c.permitted)
			attr = attr[:c.size]
			if got := grants(attr, c.capability); got != c.want {
				t.Errorf("got %v", got)
			}
			if os.Geteuid() != 0 || !c.want || c.size != 20 {
				return // only root can give a file one
			}
			path := plant(t, t.TempDir(), "helper", "", 0o755)
			if err := unix.Setxattr(path, "security.capability", attr, 0); err != nil {
				t.Fatal(err)
			}
			if h, _ := inspectHelper(path, c.capability); h.Privilege != "file capability" || h.Problem != "" {
				t.Errorf("got %+v", h)
			}
		})
	}
}

func TestFindHelper(t *testing.T) {
	bare, other := t.TempDir(), t.TempDir()
	plant(t, bare, "rl-test-helper", "", 0o700)
	if h := findHelper("rl-test-helper", unix.CAP_SETUID, ".:relative::"+other+":"+bare); h.Path != bare+"/rl-test-helper" || h.Privilege != "" || h.Problem == "" {
		t.Errorf("got %+v", h)
	}
	if h := findHelper("rl-test-helper", unix.CAP_SETUID, other); h != (Helper{Problem: "rl-test-helper: not found in PATH, /usr/bin or /usr/sbin"}) {
		t.Errorf("got %+v", h)
	}
	t.Chdir(bare)
	if h := findHelper("rl-test-helper", unix.CAP_SETUID, ".:"); h.Path != "" {
		t.Errorf("found in a relative directory: %+v", h)
	}
	// One without privilege in front does not hide the real one behind.
	plant(t, bare, newuidmap, "", 0o700)
	real, shadowed := FindHelpers("").UID, FindHelpers(bare).UID
	if real.Problem == "" && shadowed != real {
		t.Errorf("got %+v, want %+v", shadowed, real)
	}
}

func TestSearchDirs(t *testing.T) {
	var got []string
	for dir := range searchDirs("/a:b:/a::/usr/bin:/c") {
		got = append(got, dir)
	}
	if s := strings.Join(got, " "); s != "/a /usr/bin /c /usr/sbin" {
		t.Error(s)
	}
}

func TestFindHelpers(t *testing.T) {
	h := FindHelpers(os.Getenv("PATH"))
	t.Logf("%+v", h)
	for _, h := range []Helper{h.UID, h.GID} {
		if (h.Path == "" || h.Privilege == "") && h.Problem == "" {
			t.Errorf("no problem in %+v", h)
		}
	}
}

func TestProbe(t *testing.T) {
	c, err := Probe(ModeAuto, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	if c.UID != uint32(os.Geteuid()) || len(c.Parent.UID) == 0 || len(c.Parent.GID) == 0 {
		t.Errorf("got %+v", c)
	}
	if os.Geteuid() != 0 && c.privileged() {
		t.Errorf("a plain user with capabilities: %+v", c)
	}
	if _, err := Compile(Request{}, c); err != nil {
		t.Error(err)
	}
	s, err := Probe(ModeSingle, "")
	if err != nil {
		t.Fatal(err)
	}
	if s.Helpers != (Helpers{}) || s.Subordinate.UID != nil || s.Subordinate.Source != "" {
		t.Errorf("asked too much: %+v", s)
	}
	if _, err := Compile(Request{Mode: ModeSingle}, s); err != nil {
		t.Error(err)
	}
}
