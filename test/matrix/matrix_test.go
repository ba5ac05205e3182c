package matrix

import (
	_ "embed"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

//go:embed environment.sh
var environment string

// cell is a combination of values.
type cell struct{ ids, proc, tun, cgroup, stream string }

func (c cell) String() string {
	return fmt.Sprintf("%-6s %-6s %-4s %-11s %s", c.ids, c.proc, c.tun, c.cgroup, c.stream)
}

// cells are all combinations with a value of cgroup.
func cells(cgroup string) (all []cell) {
	for _, ids := range []string{"subids", "single", "none"} {
		for _, proc := range []string{"clean", "masked"} {
			for _, tun := range []string{"tun", "none"} {
				for _, stream := range []string{"terminal", "pipe"} {
					all = append(all, cell{ids, proc, tun, cgroup, stream})
				}
			}
		}
	}
	return all
}

// differs counts the values that are not what a usual machine has.
func (c cell) differs() (n int) {
	for _, same := range []bool{c.ids == "subids", c.proc == "clean", c.tun == "tun", c.stream == "pipe"} {
		if !same {
			n++
		}
	}
	return n
}

// layout is the value of cgroup that this machine has: what is mounted tells. Whether a group is delegated is for who
// calls to say, in RLRUN_MATRIX, and for the environment to prove.
func layout(t *testing.T) string {
	t.Helper()
	if value := os.Getenv("RLRUN_MATRIX"); value != "" {
		return value
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(mounts), " - cgroup ") {
		return "hybrid"
	}
	return "undelegated"
}

// TestMatrix goes through the cells of this machine's cgroups: with RLRUN_MATRIX all of them, else those that differ in one
// value at most from what is usual. scripts/matrix calls it for each value of cgroup.
func TestMatrix(t *testing.T) {
	trial.NeedUser(t)
	cgroup := layout(t)
	for _, c := range cells(cgroup) {
		if os.Getenv("RLRUN_MATRIX") == "" && c.differs() > 1 {
			continue
		}
		t.Run(strings.Join(strings.Fields(c.String()), "-"), func(t *testing.T) {
			leak.Watch(t)
			c.try(t)
			if !t.Failed() {
				fmt.Printf("matrix: %s: ok\n", c)
			}
		})
	}
}

// look is what the container says of itself.
const look = `read pid rest </proc/self/stat; [ $pid = $$ ] && echo own proc || echo outer proc
[ $(wc -l </proc/self/uid_map) -gt 1 ] && touch /x && chown 5:5 /x && echo many ids || echo one id
echo links $(ls /sys/class/net)
[ -t 0 ] && [ "$(tty)" = /dev/pts/0 ] && echo terminal || echo pipe
echo the end; exit 7`

// command is rl-run in the environment of a cell.
func (c cell) command(t *testing.T, args ...string) trial.Command {
	t.Helper()
	bin := trial.Bin(t, "rl-run")
	return trial.Command{
		Path: trial.Bin(t, "rl-unshare"),
		Args: slices.Concat([]string{
			"--quiet", "unshare", "-mpf", "--kill-child", "--mount-proc", "sh", "-c", environment, "environment",
			c.ids, c.proc, c.tun, c.cgroup, strings.TrimSuffix(bin, "/rl-run"), trial.Tree(t, "busybox"),
		}, args),
	}
}

// notes are what a start in the cell announces, each by its beginning.
func (c cell) notes() (want []string) {
	switch c.ids {
	case "single":
		want = append(want, "only one id is mapped: u has no subordinate uids in /etc/subuid")
	case "none":
		want = append(want, "only one id is mapped: newuidmap: not found in PATH")
	}
	if c.tun == "none" {
		want = append(want, "no network: /dev/net/tun is missing")
	}
	if c.proc == "masked" {
		want = append(want, "a part of the outer /proc is masked: ")
	}
	return want
}

// pick is one of two by a condition.
func pick(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

func (c cell) try(t *testing.T) {
	t.Helper()
	command, output, code := c.command(t, "/mnt/tree", "sh", "-c", look), "", 0
	if c.stream == "terminal" {
		p := trial.OpenPTY(t)
		p.Start(command)
		p.Expect("the end") // which the screen may show later than the command ends
		code = p.Wait()
		output = strings.ReplaceAll(p.Screen(), "\r\n", "\n")
	} else {
		r := command.Run(t)
		output, code = r.Stderr+r.Stdout, r.Code
	}
	if code != 7 {
		t.Fatalf("exit code %d: %s", code, output)
	}
	for _, line := range []string{
		pick(c.proc == "clean", "own proc", "outer proc"), pick(c.ids == "subids", "many ids", "one id"),
		pick(c.tun == "tun", "links eth0 lo", "links lo"), c.stream,
	} {
		if !strings.Contains("\n"+output, "\n"+line+"\n") {
			t.Errorf("no line %q in:\n%s", line, output)
		}
	}
	notes := c.notes()
	for _, n := range notes {
		if strings.Count(output, "rl-run: note: "+n) != 1 {
			t.Errorf("not announced once: %q in:\n%s", n, output)
		}
	}
	if got := strings.Count(output, "rl-run: note: "); got != len(notes) {
		t.Errorf("%d notes, want %d:\n%s", got, len(notes), output)
	}
	c.tryStrict(t)
	c.tryLimit(t)
}

// tryStrict has all that was announced, and nothing else, be an error.
func (c cell) tryStrict(t *testing.T) {
	t.Helper()
	r := c.command(t, "--strict", "/mnt/tree", "true").Run(t)
	if len(c.notes()) == 0 {
		r.OK(t)
		return
	}
	r.Fails(t, 125, "rl-run: error: --strict: ")
}

// tryLimit limits processes: it is enforced where the controller is delegated, else refused with the reason that is true.
func (c cell) tryLimit(t *testing.T) {
	t.Helper()
	limited := func(limit, text string) trial.Result {
		t.Helper()
		return c.command(t, "--quiet", "--net=none", "--pids-limit", limit, "/mnt/tree", "sh", "-c", text).Run(t)
	}
	r := limited("20", "echo started")
	switch {
	case c.cgroup == "hybrid":
		r.Fails(t, 125, "rl-run: error: enforce --pids-limit 20: the pids controller is bound to cgroup v1 (hybrid layout)")
	case c.cgroup == "delegated" && controller("pids"):
		if r.OK(t) != "started" {
			t.Errorf("%q", r.Stdout)
		}
		const many = "for n in $(seq 30); do sleep 5 & done; echo all; kill $(jobs -p)"
		limited("20", many).Fails(t, 2, "can't fork")
		if out := limited("60", many).OK(t); out != "all" {
			t.Errorf("below the limit: %q", out)
		}
	case !controller("pids"): // the kernel has it in version 1
		r.Fails(t, 125, "rl-run: error: enforce --pids-limit 20: this kernel has no pids controller")
	default:
		r.Fails(t, 125, "rl-run: error: enforce --pids-limit 20: ", "rl-run: hint: ")
	}
}

// controller reports whether the kernel has bound a controller to cgroup v2, at the top.
func controller(name string) bool {
	text, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return slices.Contains(strings.Fields(string(text)), name)
}
