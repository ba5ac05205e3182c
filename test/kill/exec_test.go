package kill

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// A killed rl-exec leaves nothing in the container, neither the command nor what that has started; nor does the launcher of a
// container that shares its namespaces.
func TestKilledExecLeavesNothing(t *testing.T) {
	trial.NeedUser(t)
	tree := trial.Tree(t, "busybox")
	shared := []string{"-V", "--pid=container:killed", "--net=container:killed", "-u", "1000", tree}
	modes := []struct {
		name    string
		flags   []string
		program string
		options []string
	}{
		{"defaults", nil, "rl-exec", []string{"-V", "killed"}},
		{"another user", nil, "rl-exec", []string{"-V", "-u", "1000", "killed"}},
		{"pid of the host", []string{"--pid=host"}, "rl-exec", []string{"-V", "killed"}},
		{"shared namespaces", nil, "rl-run", shared},
	}
	for _, mode := range modes {
		t.Run(mode.name, func(t *testing.T) {
			leak.Watch(t)
			trial.Run(t, slices.Concat([]string{"-d", "--name", "killed", "--net=none"}, mode.flags, []string{tree, "sleep", "100000"})...).OK(t)
			t.Cleanup(func() { trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "killed"}}.Run(t).OK(t) })
			pid := pidOf(t, "killed")
			lasting, err := leak.NamespacesOf(pid)
			if err != nil {
				t.Fatal(err)
			}
			bin := trial.Bin(t, mode.program)
			n := (kills(t, 500) + len(modes) - 1) / len(modes)
			took := duration(t, bin, slices.Concat(mode.options, []string{"/bin/true"}))
			o := launcher{
				path: bin,
				args: func(mark string) []string {
					return slices.Concat(mode.options, []string{"/bin/sh", "-c", script, mark})
				},
				window:  took,
				adapt:   true,
				lasting: lasting,
			}.run(t, n, patience(took))
			o.report(t)
			if len(o.left) > 0 {
				t.Errorf("%d of %d kills left something behind", len(o.left), o.kills)
			}
			if 2*o.early < n {
				t.Errorf("%d of %d kills came before the exec of the command, want half", o.early, o.kills)
			}
			alone(t, "killed")
		})
	}
}

// alone waits until nothing is in a container but its init and its command.
func alone(t *testing.T, name string) {
	t.Helper()
	pid := pidOf(t, name)
	var inside []string
	for end := time.Now().Add(leak.Patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if inside = members(t, pid); len(inside) == 2 {
			return
		}
	}
	t.Errorf("in the container are\n\t%s", strings.Join(inside, "\n\t"))
}

// pidOf returns the pid of a container's init.
func pidOf(t *testing.T, name string) int {
	t.Helper()
	var list []struct{ Pid int }
	out := trial.Command{Path: trial.Bin(t, "rl-inspect"), Args: []string{name}}.Run(t).OK(t)
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	return list[0].Pid
}

// members are the processes in the user namespace of one.
func members(t *testing.T, pid int) (found []string) {
	t.Helper()
	user := func(pid int) string {
		link, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/user", pid))
		return link
	}
	all, err := leak.Processes()
	if err != nil {
		t.Fatal(err)
	}
	mine := user(pid)
	for _, p := range all {
		if user(p.PID) == mine {
			found = append(found, p.String())
		}
	}
	return found
}
