package badinput

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// shell runs rl-run as "$@" in a shell script of the host.
func shell(t *testing.T, script string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: "/bin/sh", Args: slices.Concat([]string{"-c", script, "sh", trial.Bin(t, "rl-run")}, args)}.Run(t)
}

// TestNamespacesUsedUp sets the limits of a user namespace of its own: those of the
// machine stay as they are.
func TestNamespacesUsedUp(t *testing.T) {
	tree := begin(t)
	for kind, c := range map[string]struct{ error, hint string }{
		"user":   {"start init in new namespaces: user, pid: no space left on device (step …", "user.max_user_namespaces"},
		"pid":    {"start init in new namespaces: user, pid: no space left on device (step …", "user.max_"},
		"net":    {"unshare …", "user.max_*_namespaces"},
		"mnt":    {"unshare …", "user.max_*_namespaces"},
		"uts":    {"unshare …", "user.max_*_namespaces"},
		"ipc":    {"unshare …", "user.max_*_namespaces"},
		"cgroup": {"unshare …", "user.max_*_namespaces"},
	} {
		t.Run(kind, func(t *testing.T) {
			script := fmt.Sprintf(`echo 0 >/proc/sys/user/max_%s_namespaces && exec "$@"`, kind)
			r := trial.Command{
				Path: trial.Bin(t, "rl-unshare"),
				Args: []string{"--quiet", "sh", "-c", script, "sh", trial.Bin(t, "rl-run"), tree, "true"},
			}.Run(t)
			refused(t, r, 125, c.error, c.hint)
		})
	}
}

// TestFewFiles has the fds run out in the launcher, at any point.
func TestFewFiles(t *testing.T) {
	tree := begin(t)
	if got := shell(t, `ulimit -n 32; exec "$@"`, "--quiet", tree, "sh", "-c", "ulimit -n").OK(t); got != "32" {
		t.Errorf("with 32 fds: ulimit -n is %q inside", got)
	}
	for n := 4; n <= 24; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			r := shell(t, fmt.Sprintf(`ulimit -n %d; exec "$@"`, n), "--quiet", tree, "true")
			if r.Code != 0 {
				refused(t, r, 125, "…", "raise the limit, ulimit -n 256")
			}
		})
	}
}

// TestFewProcesses counts in a user namespace of its own, where there are no others
// (RLIMIT_NPROC is counted by namespace since Linux 5.14).
func TestFewProcesses(t *testing.T) {
	begin(t)
	// Below the first limit that is too low the Go runtime itself cannot start its
	// threads, and ends the program before there is any code of rl-run.
	for n := 40; n > 0; n-- {
		r := poor(t, granted+fmt.Sprintf("prlimit --pid $$ --nproc=%d\n", n), "--quiet", "--userns=single", "/mnt/tree", "true")
		if r.Code != 0 {
			refused(t, r, 125, "start …", "see ulimit -u")
			return
		}
	}
	t.Error("no limit of processes keeps a container from being started")
}

func TestClosedFiles(t *testing.T) {
	tree := begin(t)
	for name, c := range map[string]struct {
		script string
		code   int
	}{
		"all closed":           {`exec "$@" true <&- >&- 2>&-`, 0},
		"stdin closed":         {`exec "$@" cat <&-`, -1},
		"stdout closed":        {`exec "$@" true >&-`, 0},
		"stdout and in closed": {`exec "$@" true <&- >&-`, 0},
		"stderr closed":        {`exec "$@" true 2>&-`, 0},
		"failure, no stderr":   {`exec "$@" nonsense 2>&-`, 127},
	} {
		t.Run(name, func(t *testing.T) {
			r := shell(t, c.script, "--quiet", tree)
			if c.code >= 0 && r.Code != c.code || strings.Contains(r.Stderr, "rl-run:") {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestFullOutput(t *testing.T) {
	tree := begin(t)
	for _, args := range [][]string{
		{"--explain", tree}, {"--explain=json", tree}, {"--explain=sh", tree}, {"--help"}, {"--version"},
	} {
		t.Run(args[0], func(t *testing.T) {
			refused(t, shell(t, `exec "$@" >/dev/full`, args...), 125, "write /dev/stdout: no space left on device", "")
		})
	}
}

func TestBareEnvironment(t *testing.T) {
	tree := begin(t)
	for _, script := range []string{
		`exec env -i "$@"`,
		`exec env -u HOME -u XDG_RUNTIME_DIR -u PATH -u USER "$@"`,
		`exec env HOME=/nowhere XDG_RUNTIME_DIR=/nowhere TMPDIR=/nowhere "$@"`,
		`exec env TERM='../../etc/passwd' "$@"`,
		`exec env TERM= "$@"`,
		`exec env TERM="$(printf '\033[31m\n')" PATH=: "$@"`,
	} {
		if got := shell(t, script, "--quiet", tree, "echo", "up"); got.OK(t) != "up" || got.Stderr != "" {
			t.Errorf("%s: got %+v", script, got)
		}
	}
	// The directory of the caller may be gone.
	if got := shell(t, `d=$(mktemp -d) && cd "$d" && rmdir "$d" && exec "$@"`, "--quiet", tree, "pwd"); got.OK(t) != "/" || got.Stderr != "" {
		t.Errorf("in a directory that is gone: got %+v", got)
	}
	gone := `d=$(mktemp -d) && cd "$d" && rmdir "$d" && exec "$@"`
	refused(t, shell(t, gone, "--quiet", "."), 125, "open .: the working directory has been removed", "")
	refused(t, shell(t, gone, "--quiet", "-v", ".:/x", tree), 125, "mount . on /x: the working directory has been removed", "")
}

// TestSmallFiles has a limit of the size of files, which counts for the memory file of the init, too.
func TestSmallFiles(t *testing.T) {
	tree := begin(t)
	refused(t, shell(t, `ulimit -f 0; exec "$@"`, "--quiet", tree, "true"), 125, "write memfd:rl-init: file too large", "raise the limit, ulimit -f unlimited")
	if got := shell(t, `ulimit -f 100; exec "$@"`, "--quiet", tree, "echo", "up"); got.OK(t) != "up" || got.Stderr != "" {
		t.Errorf("files of 50 kB: got %+v", got)
	}
}

// TestNoTerminal asks for one where there is none: the container has one all the same.
func TestNoTerminal(t *testing.T) {
	tree := begin(t)
	r := trial.Run(t, "--quiet", "-t", tree, "tty")
	if got := strings.TrimSpace(r.OK(t)); !strings.HasPrefix(got, "/dev/pts/") || r.Stderr != "" {
		t.Errorf("-t without a terminal: got %+v", r)
	}
}

// TestUnconfinedTerminal types at a terminal that the command could type into.
func TestUnconfinedTerminal(t *testing.T) {
	tree := begin(t)
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer master.Close()
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	defer slave.Close()
	r := trial.Command{Stdin: slave, Args: []string{"--quiet", "--security-opt", "seccomp=unconfined", "-t=false", tree, "true"}}.Run(t)
	refused(t, r, 125, "--security-opt seccomp=unconfined: the command could type into your terminal (TIOCSTI)", "-t gives it a terminal of its own")
}
