package nest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

// begin gives the directory of the programs, the tree of the inner container, and an own one for the outer.
func begin(t *testing.T) (bin, inner, outer string) {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	return filepath.Dir(trial.Bin(t, "rl-run")), trial.Tree(t, "busybox"), trial.NewTree(t)
}

// look is what an inner container says of itself: it is root, in a pid namespace and a mount namespace of its own, without the
// capabilities that a container has not, under a filter.
const look = `id -u; echo pid $$; touch /made && echo writes; mount -t tmpfs none /mnt 2>/dev/null || echo no mounts
	sed -n 's/^\(CapEff\|CapBnd\|NoNewPrivs\|Seccomp\):\t/\1 /p' /proc/self/status | tr '\n' ' '; hostname; exit 7`

// seen is what look prints; a fallback narrows it.
const seen = "0\npid 2\nwrites\nno mounts\nCapEff 00000000800405fb CapBnd 00000000800405fb NoNewPrivs 1 Seccomp 2 "

// started fails the test unless an inner container has run look, under a host name, and rl-run has said these notes and no others.
func started(t *testing.T, r trial.Result, hostname string, notes ...string) {
	t.Helper()
	if r.Code != 7 {
		t.Fatalf("exit code %d\nstdout: %s\nstderr: %s", r.Code, r.Stdout, r.Stderr)
	}
	if got, rest, _ := strings.Cut(r.Stdout, seen); got != "" || !strings.HasPrefix(rest, hostname) {
		t.Errorf("got %q, want %q", r.Stdout, seen+hostname)
	}
	for _, n := range notes {
		if strings.Count(r.Stderr, "rl-run: note: "+n) != 1 {
			t.Errorf("not announced once: %q in:\n%s", n, r.Stderr)
		}
	}
	if got := strings.Count(r.Stderr, "rl-run: note: "); got != len(notes) {
		t.Errorf("%d notes, want %d:\n%s", got, len(notes), r.Stderr)
	}
}

const (
	noSys      = "a part of the outer /sys is masked, or it is no sysfs: "
	maskedProc = "a part of the outer /proc is masked: "
	noName     = "no host name can be set here: the container keeps the outer one, "
)
