package hostile

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// attackIDs asks the kernel for the uid -1, which stands for "leave it as it is".
func attackIDs([]string) error {
	errno := call(unix.SYS_SETRESUID, ^uintptr(0), ^uintptr(0), ^uintptr(0))
	fmt.Println(int(errno), os.Getuid())
	return nil
}

// TestUserSpecs has users that another parser might take for a number, and a number that the kernel takes for none:
// who asks for another user must not get root.
func TestUserSpecs(t *testing.T) {
	tree := begin(t)
	trial.Run(t, "-d", "--quiet", "--net=none", "--name", "users", tree, "sleep", "1000").OK(t)
	for _, user := range []string{
		"-1", "4294967295", "4294967296", "18446744073709551616", "0x0", "0x1", "1 ", " 1", "1\n", "1\t", ":5", "1:", ":", "+1", "1_0", "1e0", "٣",
		"1:-1", "1:4294967295", "1:4294967296", "1:0x0", "1:1 ", "1: 1", "1:1:1", "1: ",
	} {
		r := trial.Run(t, "--quiet", "-u", user, tree, "id")
		if !refused(r) || !strings.Contains(r.Stderr, "-u") {
			t.Errorf("rl-run -u %q: %+v", user, r)
		}
		r = trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{"-u", user, "users", "id"}}.Run(t)
		if !refused(r) || !strings.Contains(r.Stderr, "-u") {
			t.Errorf("rl-exec -u %q: %+v", user, r)
		}
	}
	for _, group := range []string{"-1", "4294967295", "4294967296", "0x0", "1 ", ":5"} {
		if r := trial.Run(t, "--quiet", "--group-add", group, tree, "id"); !refused(r) {
			t.Errorf("--group-add %q: %+v", group, r)
		}
	}
	trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "users"}}.Run(t).OK(t)

	// The kernel is content with -1, and who asked stays root; coreutils' chroot takes a group alone for root with it.
	if got := outside(t, "setresuid", rooted(t)).Run(t).OK(t); got != "0 0" {
		t.Errorf("control: setresuid(-1): %s", got)
	}
	lead := rooted(t)
	got := trial.Command{Path: lead[0], Args: append(lead[1:], "chroot", "--userspec=:5", tree, "id", "-u")}.Run(t).OK(t)
	if got != "0" {
		t.Errorf("control: chroot --userspec=:5 gives uid %s", got)
	}
}

// TestWideMaps has numbers that fit no id: cut to 32 bits, they would be those of root.
func TestWideMaps(t *testing.T) {
	tree := begin(t)
	own := os.Getuid()
	for _, m := range []string{
		"4294967296:%d:1", "0:4294967296:1", "0:%d:4294967297", "0:%d:4294967296", "0:4294967295:1", "4294967295:%d:1", "4294967294:%d:2",
		"18446744073709551616:%d:1", "0:18446744073709551616:1", "0:%d:18446744073709551617", "0:-1:1", "0:%d:-1", "0:%d:0x1", "0:%d: 1",
		"0:%d:99999999999999999999999999",
	} {
		if strings.Contains(m, "%d") {
			m = fmt.Sprintf(m, own)
		}
		for _, option := range []string{"--uidmap", "--gidmap"} {
			r := trial.Run(t, "--quiet", option, m, tree, "id")
			if !refused(r) || !strings.Contains(r.Stderr, option) {
				t.Errorf("%s %q: %+v", option, m, r)
			}
		}
	}
	// Cut to 32 bits, as by a parser that takes no care, the first of them maps root.
	cut := uint32(uint64(4294967296) & 0xffffffff)
	got := trial.Run(t, "--quiet", "--uidmap", fmt.Sprintf("%d:%d:1", cut, own), tree, "id", "-u").OK(t)
	if got != "0" {
		t.Errorf("control: uid %s", got)
	}
}

// TestInheritableCapabilities has a caller with all of them in the inheritable and the ambient set: they are not to come along,
// as they did with other runtimes (CVE-2022-24769).
func TestInheritableCapabilities(t *testing.T) {
	tree := begin(t)
	caller := append(rooted(t), trial.NeedTool(t, "setpriv"), "--inh-caps=+all", "--ambient-caps=+all")
	const none = "0000000000000000"
	status := func(name, text string) string {
		_, after, _ := strings.Cut(text, name+":")
		line, _, _ := strings.Cut(after, "\n")
		return strings.TrimSpace(line)
	}
	run := func(words ...string) string {
		t.Helper()
		return trial.Command{Path: caller[0], Args: append(caller[1:], words...)}.Run(t).OK(t)
	}
	before := run("cat", "/proc/self/status")
	for _, name := range []string{"CapInh", "CapAmb"} {
		if got := status(name, before); got == none || got == "" {
			t.Fatalf("control: %s is %q", name, got)
		}
	}
	const (
		joined = `set -e; run=$1 exec=$2 rm=$3; shift 3; "$run" -d --net=none --quiet --name inheritable "$@" sleep 1000 >&2
			"$exec" inheritable cat /proc/self/status; "$rm" -f inheritable >&2`
		init = "until grep -q rl-init /proc/1/comm; do :; done; cat /proc/1/status"
	)
	got := map[string]string{}
	for what, options := range map[string][]string{"": nil, ", unconfined": unconfined} {
		lead := slices.Concat([]string{trial.Bin(t, "rl-run"), "--quiet", "--net=none"}, options, []string{tree})
		got["rl-run"+what] = run(append(lead, "cat", "/proc/self/status")...)
		got["init"+what] = run(append(lead, "sh", "-c", init)...)
		programs := []string{"sh", "-c", joined, "sh", trial.Bin(t, "rl-run"), trial.Bin(t, "rl-exec"), trial.Bin(t, "rl-rm")}
		got["rl-exec"+what] = run(slices.Concat(programs, options, []string{tree})...)
	}
	for what, got := range got {
		for _, name := range []string{"CapInh", "CapAmb"} {
			if set := status(name, got); set != none {
				t.Errorf("%s: %s is %q", what, name, set)
			}
		}
	}
}
