package port

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseListenFDs(t *testing.T) {
	for _, c := range []struct {
		pid, fds, names string
		env, err        string
	}{
		{"7", "1", "", "LISTEN_FDS=1 LISTEN_PID=2", ""},
		{"7", "2", "http:https", "LISTEN_FDS=2 LISTEN_PID=2 LISTEN_FDNAMES=http:https", ""},
		{"7", "1024", "", "LISTEN_FDS=1024 LISTEN_PID=2", ""},
		{"", "", "", "", "--listen-fd: no sockets were passed, LISTEN_FDS is not set (expected a start by a systemd socket unit, or by systemd-socket-activate)"},
		{"8", "1", "", "", "--listen-fd: LISTEN_PID is 8 and rl-run is process 7 (expected the sockets to be passed to rl-run itself: a shell before it needs exec)"},
		{"x", "1", "", "", `--listen-fd: malformed LISTEN_PID "x" (expected a process id)`},
		{"-7", "1", "", "", `--listen-fd: malformed LISTEN_PID "-7" (expected a process id)`},
		{"7", "0", "", "", `--listen-fd: malformed LISTEN_FDS "0" (expected 1 to 1024)`},
		{"7", "1025", "", "", `--listen-fd: malformed LISTEN_FDS "1025" (expected 1 to 1024)`},
		{"7", "99999999999999999999", "", "", `--listen-fd: malformed LISTEN_FDS "99999999999999999999" (expected 1 to 1024)`},
		{"7", "", "", "", `--listen-fd: malformed LISTEN_FDS "" (expected 1 to 1024)`},
		{"7", "2", "http", "", `--listen-fd: LISTEN_FDNAMES has 1 names (expected 2, as LISTEN_FDS says)`},
		{"7", "1", "a\nb", "", `--listen-fd: malformed name "a\nb" in LISTEN_FDNAMES (expected at most 255 printable letters of ASCII)`},
	} {
		l, err := ParseListenFDs(c.pid, c.fds, c.names, 7)
		if c.err != "" {
			var e *Error
			if !errors.As(err, &e) || err.Error() != c.err {
				t.Errorf("%q %q %q: %v\nwant %s", c.pid, c.fds, c.names, err, c.err)
			}
			continue
		}
		if got := strings.Join(l.Env(2), " "); err != nil || got != c.env {
			t.Errorf("%q %q %q: %s, %v; want %s", c.pid, c.fds, c.names, got, err, c.env)
		}
	}
}

func FuzzParseListenFDs(f *testing.F) {
	f.Add("7", "2", "a:b")
	f.Add("7", "1", "")
	f.Add("07", "+1", ":")
	f.Fuzz(func(t *testing.T, pid, fds, names string) {
		l, err := ParseListenFDs(pid, fds, names, 7)
		if err != nil {
			return
		}
		if l.Count < 1 || l.Count > maxListenFDs || len(l.Names) != 0 && len(l.Names) != l.Count {
			t.Fatalf("%+v", l)
		}
		for _, v := range l.Env(2) {
			if strings.ContainsAny(v, "\x00\n") {
				t.Fatalf("%q", v)
			}
		}
	})
}

// TestCheck looks at descriptors 3 and up of a process that has been given some.
func TestCheck(t *testing.T) {
	if want, ok := os.LookupEnv("PORT_TEST_CHECK"); ok {
		err := ListenFDs{Count: len(want)}.Check()
		good := !strings.Contains(want, "f")
		if (err == nil) != good || !good && !errors.Is(err, unix.ENOTSOCK) {
			t.Fatalf("%s: %v", want, err)
		}
		return
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(pair[0]), "socket")
	defer socket.Close()
	defer unix.Close(pair[1])
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for _, kinds := range []string{"s", "ss", "sf", "f"} {
		c := exec.Command("/proc/self/exe", "-test.run=^TestCheck$")
		c.Env = append(os.Environ(), "PORT_TEST_CHECK="+kinds)
		for kind := range slices.Values([]byte(kinds)) {
			c.ExtraFiles = append(c.ExtraFiles, map[byte]*os.File{'s': socket, 'f': null}[kind])
		}
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", kinds, err, out)
		}
	}
}
