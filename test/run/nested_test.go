package run

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// nested is rl-run in a container of rl-run. The inner tree is bound in.
func nested(t *testing.T, outerOptions, innerOptions []string, text string) trial.Result {
	t.Helper()
	tree, bin := trial.Tree(t, "busybox"), filepath.Dir(trial.Bin(t, "rl-run"))
	return trial.Run(t, slices.Concat(
		[]string{"--quiet", "--security-opt", "seccomp=unconfined", "-v", bin + ":/rl:ro", "-v", tree + ":/inner:ro"}, outerOptions,
		[]string{tree, "/rl/rl-run"}, innerOptions, []string{"/inner", "sh", "-c", text})...)
}

func TestNested(t *testing.T) {
	begin(t)
	for _, options := range [][]string{nil, {"--userns=single"}, {"--copy"}, {"--read-only", "--tmpfs", "/var/tmp"}} {
		r := nested(t, append([]string{"--security-opt", "unmask=ALL"}, options...), nil,
			"id -u; hostname; cat /proc/1/comm; echo $$; touch /x; stat -c %u:%g /sys/class/net/lo/mtu")
		got := strings.Fields(initName(r.OK(t)))
		if !slices.Equal(got, []string{"0", "inner", "rl-init", "2", "0:0"}) {
			t.Errorf("%q: %q", options, got)
		}
		lacks(t, "notes", r.Stderr, "masked")
	}
}

// When a part of the outer /proc is masked the kernel refuses a new one: the outer one is
// used, with a note.
func TestNestedUnderMaskedProc(t *testing.T) {
	begin(t)
	r := nested(t, nil, nil, "id -u; hostname; cat /proc/self/comm; cat /proc/keys; echo end; ls /sys/class/net")
	want(t, "output", r.OK(t), "0\ninner\ncat\nend\neth0\nlo")
	holds(t, "stderr", r.Stderr, "rl-run: note: ", "/proc is masked")
	if n := strings.Count(r.Stderr, "/proc is masked"); n != 1 {
		t.Errorf("%d notes of it: %q", n, r.Stderr)
	}
	// Orphans still end with the inner container, and the exit code comes through.
	r = nested(t, nil, []string{"--quiet"}, "sleep 1000 & (setsid sleep 1000 &) ; exit 7")
	r.Fails(t, 7)
}

// A container in one that shares the host's net namespace has its own, and a /sys that
// shows it, unless masks are in the way.
func TestNestedWithHostNetwork(t *testing.T) {
	begin(t)
	look := "ls /sys/class/net; ip -o link | wc -l"
	r := nested(t, []string{"--net=host", "--security-opt", "unmask=ALL"}, []string{"--quiet"}, look)
	want(t, "interfaces", r.OK(t), "lo\n1")
	r = nested(t, []string{"--net=host"}, nil, "ip -o link | wc -l")
	want(t, "interfaces", r.OK(t), "1")
	holds(t, "stderr", r.Stderr, "rl-run: note: ", "/sys is masked")
}

// With --nest another launcher can run inside, three deep, and without it none can: the filter refuses a user namespace.
func TestNest(t *testing.T) {
	tree := begin(t)
	bin := filepath.Dir(trial.Bin(t, "rl-run"))
	binds := []string{"-v", bin + ":/rl:ro", "-v", tree + ":/inner:ro"}
	further := "--net=none --nest -v /rl:/rl:ro -v /inner:/inner:ro /inner"
	r := trial.Run(t, slices.Concat([]string{"--nest", "--net=none"}, binds, []string{
		tree, "sh", "-c",
		"/rl/rl-run " + further + " /rl/rl-run " + further + " sh -c 'id -u; cat /proc/1/comm; echo $$; touch /x; readlink /proc/self/ns/user'; readlink /proc/self/ns/user",
	})...)
	got := strings.Fields(r.OK(t))
	if len(got) != 5 || !slices.Equal(got[:3], []string{"0", "rl-init", "2"}) || got[3] == got[4] {
		t.Errorf("three deep: %q", got)
	}
	if n := strings.Count(r.Stderr, "rl-run: note: --nest: /proc and /sys are not masked"); n != 3 {
		t.Errorf("%d of 3 say what --nest gives up: %q", n, r.Stderr)
	}
	lacks(t, "notes", r.Stderr, "outer /proc")

	for _, options := range [][]string{nil, {"--security-opt", "unmask=ALL"}} {
		r = trial.Run(t, slices.Concat(options, []string{"--quiet", "--net=none"}, binds, []string{tree, "/rl/rl-run", "--net=none", "/inner", "true"})...)
		r.Fails(t, 125, "rl-run: error: start init", "operation not permitted", "rl-run: hint: a seccomp filter of what runs this is in force: start the outer container with")
	}
	// the rest of the filter is in force
	refused := trial.Run(t, "--quiet", "--nest", "--net=none", tree, "sh", "-c", "grep Seccomp: /proc/self/status; umount /proc; mount -t tmpfs none /mnt")
	refused.Fails(t, 1, "umount: can't unmount /proc: ", "mount: ")
	holds(t, "filter", refused.Stdout, "Seccomp:\t2")
	trial.Run(t, "--nest", "--security-opt", "mask=/proc/keys", tree, "true").Fails(t, 125, "--nest and --security-opt mask=/proc/keys exclude each other")
	profile := filepath.Join(t.TempDir(), "profile.json")
	write(t, profile, `{"defaultAction": "SCMP_ACT_ALLOW"}`)
	trial.Run(t, "--nest", "--security-opt", "seccomp="+profile, tree, "true").Fails(t, 125, "--nest and --security-opt seccomp="+profile+" exclude")
}

// Three deep, with a filter taken away.
func TestNestedTwice(t *testing.T) {
	begin(t)
	r := nested(t, []string{"--security-opt", "unmask=ALL"},
		[]string{"--quiet", "--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL", "-v", "/rl:/rl", "-v", "/inner:/inner"},
		"exec /rl/rl-run --quiet -h third /inner sh -c 'id -u; hostname; cat /proc/1/comm'")
	want(t, "output", initName(r.OK(t)), "0\nthird\nrl-init")
}

// Inside, rl-unshare works as well.
func TestNestedUnshare(t *testing.T) {
	begin(t)
	tree, bin := trial.Tree(t, "busybox"), filepath.Dir(trial.Bin(t, "rl-run"))
	got := trial.Run(t, "--quiet", "--security-opt", "seccomp=unconfined", "-v", bin+":/rl:ro", tree,
		"/rl/rl-unshare", "sh", "-c", "id -u; touch /tmp/x; chown 5:5 /tmp/x; stat -c %u /tmp/x").OK(t)
	want(t, "output", got, "0\n5")
}
