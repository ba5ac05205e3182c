package badinput

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// running starts a container named "box", which ends with the test.
func running(t *testing.T) {
	t.Helper()
	tree := begin(t)
	trial.Run(t, "--quiet", "-d", "--net=none", "--name", "box", tree, "sh", "-c", "echo said; exec sleep 100000").OK(t)
	t.Cleanup(func() { program(t, `exec "$@"`, "rl-rm", "-f", "box").OK(t) })
}

// program runs one of rl-run's programs as "$@" in a shell script of the host.
func program(t *testing.T, script, name string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: "/bin/sh", Args: slices.Concat([]string{"-c", script, "sh", trial.Bin(t, name)}, args)}.Run(t)
}

// calls are what the programs beside rl-run are asked for; those of looking change nothing.
var calls = []struct {
	line    string
	looking bool // and write to stdout
}{
	{"rl-ps", true},
	{"rl-ps -a --json", true},
	{"rl-ps --ns", true},
	{"rl-logs box", true},
	{"rl-inspect box", true},
	{"rl-doctor", true},
	{"rl-doctor --json", true},
	{"rl-net ls", true},
	{"rl-exec --explain box true", true},
	{"rl-exec box echo up", false},
	{"rl-exec -d box true", false},
	{"rl-kill -s CONT box", false},
	{"rl-unshare --quiet true", false},
	{"rl-netd --help", true},
	{"rl-netd forward --help", true},
	{"rl-netd session --help", true},
}

func words(line string) (name string, args []string) {
	list := strings.Fields(line)
	return list[0], list[1:]
}

// mistaken checks that a program has refused in one line, and by its own code.
func mistaken(t *testing.T, name string, r trial.Result, want string) {
	t.Helper()
	if name == "rl-netd" { // which speaks under its own name, and gives no hints
		r.Stderr = strings.ReplaceAll(r.Stderr, "rl-netd: error: ", "rl-run: error: ")
	}
	text, _, _ := strings.Cut(r.Stderr, "rl-run: hint: ")
	r.Stderr = text
	refused(t, r, 125, want, "")
}

func TestProgramsOnFullDisk(t *testing.T) {
	running(t)
	for _, c := range calls {
		if !c.looking {
			continue
		}
		t.Run(c.line, func(t *testing.T) {
			name, args := words(c.line)
			r := program(t, `exec "$@" >/dev/full`, name, args...)
			if name == "rl-logs" { // what has been read is named as well
				mistaken(t, name, r, "…")
				return
			}
			mistaken(t, name, r, "write /dev/stdout: no space left on device")
		})
	}
	if r := program(t, `exec "$@" >/dev/full`, "rl-veth", "--help"); r.Code == 0 {
		t.Errorf("rl-veth: %+v", r)
	}
}

// With standard files closed nothing that a program opens takes their place: what was written would go there.
func TestProgramsWithClosedFiles(t *testing.T) {
	running(t)
	state := func() string { return listing(t, filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "rl-run", "c")) }
	before := state()
	for _, c := range calls {
		for _, closed := range []string{"<&- >&- 2>&-", "<&-", ">&-", "2>&-"} {
			name, args := words(c.line)
			r := program(t, `exec "$@" `+closed, name, args...)
			switch {
			case r.Code == 125 && strings.Contains(closed, ">&-") && c.looking: // there is nothing to write to
			case r.Code != 0 && (name != "rl-doctor" || r.Code > 1):
				t.Errorf("%s %s: %+v", c.line, closed, r)
			}
			if bare.MatchString(r.Stderr) {
				t.Errorf("%s %s: %q", c.line, closed, r.Stderr)
			}
		}
	}
	if after := state(); after != before {
		t.Errorf("the state has changed:\n%s\nbefore:\n%s", after, before)
	}
}

// As few descriptors as there may be: all is done, or one line says what is missing.
func TestProgramsWithFewFiles(t *testing.T) {
	running(t)
	for _, c := range calls {
		name, args := words(c.line)
		if name == "rl-netd" {
			continue
		}
		for n := 3; n <= 20; n++ {
			r := program(t, fmt.Sprintf(`ulimit -n %d; exec "$@"`, n), name, args...)
			if r.Code == 0 || name == "rl-doctor" && r.Code <= 2 && r.Stdout != "" {
				continue
			}
			t.Run(fmt.Sprintf("%s %d", c.line, n), func(t *testing.T) { mistaken(t, name, r, "…") })
		}
	}
}

// Names that no container has, and that are to do nothing to a terminal or a path.
func TestProgramsWithOddNames(t *testing.T) {
	running(t)
	for _, name := range []string{
		"", ".", "..", "/", "../box", "box/", "box/..", "./box", "box\n", "\nrl-run: error: box", "\x1b[31mbox", "\xff\xfe", "\u202exob", "bo x", "*", "box\x7f",
		strings.Repeat("x", 255), strings.Repeat("x", 100<<10), strings.Repeat("../", 100) + "etc",
	} {
		for _, line := range []string{"rl-exec NAME true", "rl-logs NAME", "rl-stop NAME", "rl-kill NAME", "rl-wait NAME", "rl-inspect NAME", "rl-rm NAME", "rl-net rm NAME", "rl-net inspect NAME", "rl-net create NAME/"} {
			about := line + " " + fmt.Sprintf("%.40q", name)
			t.Run(strings.ReplaceAll(about, "/", "|"), func(t *testing.T) {
				path, args := words(line)
				for i := range args {
					args[i] = strings.ReplaceAll(args[i], "NAME", name)
				}
				mistaken(t, path, program(t, `exec "$@"`, path, args...), "…")
			})
		}
	}
}

// A state directory that cannot be entered, or is full, or is no directory.
func TestProgramsWithoutState(t *testing.T) {
	tree := begin(t)
	locked, file := t.TempDir(), write(t, filepath.Join(t.TempDir(), "file"), "", 0o600)
	must(t, os.Chmod(locked, 0))
	t.Cleanup(func() { // the place that is used instead, if it is empty
		instead := fmt.Sprintf("/tmp/rl-run-%d", os.Getuid())
		_ = os.Remove(instead + "/c")
		_ = os.Remove(instead)
	})
	for _, dir := range []string{locked, file, locked + "/below", "/dev/null"} {
		for _, line := range []string{"rl-exec box true", "rl-logs box", "rl-stop box", "rl-kill box", "rl-wait box", "rl-inspect box", "rl-rm box"} {
			name, args := words(line)
			t.Run(strings.ReplaceAll(dir+" "+line, "/", "|"), func(t *testing.T) {
				mistaken(t, name, program(t, `export XDG_RUNTIME_DIR=`+dir+`; exec "$@"`, name, args...), "…")
			})
		}
		for _, line := range []string{"rl-ps", "rl-ps --json", "rl-doctor"} {
			name, args := words(line)
			if r := program(t, `export XDG_RUNTIME_DIR=`+dir+`; exec "$@"`, name, args...); r.Code > 1 && r.Code != 125 || bare.MatchString(r.Stderr) || strings.Count(r.Stderr, "error: ") > 1 {
				t.Errorf("%s, %s: %+v", dir, line, r)
			}
		}
	}
	const full = `mount -t tmpfs -o size=4k,nr_inodes=8 none /mnt; mkdir -m 700 /mnt/r; head -c 4096 /dev/zero >/mnt/r/x 2>/dev/null; export XDG_RUNTIME_DIR=/mnt/r
		"$1" --quiet -d --net=none --name full "$2" sleep 1000; code=$?; find /mnt -name full; exit $code`
	r := trial.Command{Path: trial.Bin(t, "rl-unshare"), Args: []string{"--quiet", "unshare", "-m", "sh", "-c", full, "sh", trial.Bin(t, "rl-run"), tree}}.Run(t)
	mistaken(t, "rl-run", r, "…")
	if r.Stdout != "" || !strings.Contains(r.Stderr, "no space left on device") {
		t.Errorf("on a full disk: %+v", r)
	}
}
