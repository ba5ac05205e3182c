package matrix

import (
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
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

// chosen reports whether a cell is to be tried. With RLRUN_MATRIX all are; without, those that differ in one value at most from
// what is usual; in an emulated guest (RLRUN_TENTH) the usual one alone, for other cgroups than those of the machine around it.
func (c cell) chosen() bool {
	switch {
	case os.Getenv("RLRUN_TENTH") != "":
		return c.differs() == 0
	case os.Getenv("RLRUN_MATRIX") != "":
		return true
	}
	return c.differs() <= 1
}

// TestMatrix goes through the cells of one value of cgroup. scripts/matrix calls it for each of them, and package vm in its guest for
// those of version 2 alone.
func TestMatrix(t *testing.T) {
	trial.NeedUser(t)
	for _, c := range cells(layout(t)) {
		if !c.chosen() {
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

// many has more processes than the lower of two limits.
const many = `for n in $(seq 30); do sleep 5 & done; echo all; kill $(jobs -p)`

// starts are those of a cell, in the one environment that is made and proved for it: each between two marks. Above the "limited" ones
// there is nothing to be said but of the limit.
const starts = `exec 2>&1
start() { echo "<$1"; shift; code=0; /mnt/bin/rl-run "$@" || code=$?; echo ">$code"; }
limited() { start "$1" --quiet --net=none -t=false --pids-limit $2 /mnt/tree sh -c "$3"; }
start look /mnt/tree sh -c "$1"
start strict --strict /mnt/tree true
limited start 20 'echo started'
[ $3 = refused ] || { limited "more than the limit" 20 "$2"; limited "less than the limit" 60 "$2"; }
echo all done`

// command makes the environment of a cell, proves it, and makes its starts.
func (c cell) command(t *testing.T) trial.Command {
	t.Helper()
	bin := trial.Bin(t, "rl-run")
	return trial.Command{
		Path: trial.Bin(t, "rl-unshare"),
		Args: []string{
			"--quiet", "unshare", "-mpf", "--kill-child", "--mount-proc", "sh", "-c", environment, "environment",
			c.ids, c.proc, c.tun, c.cgroup, strings.TrimSuffix(bin, "/rl-run"), trial.Tree(t, "busybox"),
			starts, "starts", look, many, pick(c.limits(), "enforced", "refused"),
		},
		Timeout: 3 * trial.Timeout,
	}
}

// limits reports whether the cell is one in which a limit of processes can be enforced.
func (c cell) limits() bool { return c.cgroup == "delegated" && controller("pids") }

const masked = "a part of the outer /proc is masked: "

// notes are what a start in the cell announces, each by its beginning.
func (c cell) notes() (want []string) {
	switch c.ids {
	case "single":
		want = append(want, "only one id is mapped: u has no subordinate uids in /etc/subuid")
	case "none":
		want = append(want, "only one id is mapped: newuidmap: not found in PATH")
	}
	switch {
	case c.tun == "none":
		want = append(want, "no network: /dev/net/tun is missing")
	case !driver():
		want = append(want, "no network: neither pasta nor slirp4netns is installed")
	}
	if c.proc == "masked" {
		want = append(want, masked)
	}
	if oldTmpfs() {
		want = append(want, "an overlay in memory does not work here: ")
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

// started is what one of the starts has come to.
type started struct {
	output string
	code   int
}

// parse finds the starts in the output of all.
func parse(t *testing.T, output string) map[string]started {
	t.Helper()
	byName := map[string]started{}
	for _, part := range strings.Split("\n"+output, "\n<")[1:] {
		name, rest, _ := strings.Cut(part, "\n")
		said, end, ended := strings.Cut("\n"+rest, "\n>")
		line, _, _ := strings.Cut(end, "\n")
		code, err := strconv.Atoi(line)
		if !ended || err != nil {
			t.Fatalf("%s does not end:\n%s", name, output)
		}
		byName[name] = started{said + "\n", code}
	}
	return byName
}

func (c cell) try(t *testing.T) {
	t.Helper()
	command, output, code := c.command(t), "", 0
	if c.stream == "terminal" {
		p := trial.OpenPTY(t)
		p.Start(command)
		code = p.Wait()
		if code == 0 {
			p.Expect("all done\r\n") // which the screen may show later than the command ends
		}
		output = strings.ReplaceAll(p.Screen(), "\r\n", "\n")
	} else {
		r := command.Run(t)
		output, code = r.Stderr+r.Stdout, r.Code
	}
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, output)
	}
	found := parse(t, output)
	c.tryLook(t, found["look"])
	c.tryStrict(t, found["strict"])
	c.tryLimit(t, found)
}

func (c cell) tryLook(t *testing.T, s started) {
	t.Helper()
	if s.code != 7 {
		t.Fatalf("exit code %d: %s", s.code, s.output)
	}
	for _, line := range []string{
		pick(c.proc == "clean", "own proc", "outer proc"), pick(c.ids == "subids", "many ids", "one id"),
		pick(c.tun == "tun" && driver(), "links eth0 lo", "links lo"), c.stream,
	} {
		if !strings.Contains(s.output, "\n"+line+"\n") {
			t.Errorf("no line %q in:\n%s", line, s.output)
		}
	}
	notes := c.notes()
	for _, n := range notes {
		if strings.Count(s.output, "rl-run: note: "+n) != 1 {
			t.Errorf("not announced once: %q in:\n%s", n, s.output)
		}
	}
	if got := strings.Count(s.output, "rl-run: note: "); got != len(notes) {
		t.Errorf("%d notes, want %d:\n%s", got, len(notes), s.output)
	}
}

// tryStrict has all that was announced, and nothing else, be an error: that of /proc alone, which only trying can tell, where nothing
// was to be said before.
func (c cell) tryStrict(t *testing.T, s started) {
	t.Helper()
	notes := c.notes()
	if len(notes) == 0 {
		if s.code != 0 || s.output != "\n" {
			t.Errorf("--strict, where nothing is less: %+v", s)
		}
		return
	}
	if known := slices.DeleteFunc(slices.Clone(notes), func(n string) bool { return n == masked }); len(known) > 0 {
		notes = known
	}
	s.fails(t, "--strict", 125, append(notes, "\nrl-run: error: --strict: ")...)
}

// fails fails the test unless a start has failed with this code and texts.
func (s started) fails(t *testing.T, what string, code int, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if s.code != code || !strings.Contains(s.output, text) {
			t.Errorf("%s: want exit code %d and %q: %+v", what, code, text, s)
		}
	}
}

// tryLimit limits processes: it is enforced where the controller is delegated, else refused with the reason that is true.
func (c cell) tryLimit(t *testing.T, found map[string]started) {
	t.Helper()
	s, refused := found["start"], "\nrl-run: error: enforce --pids-limit 20: "
	switch {
	case c.limits():
		if s.code != 0 || s.output != "\nstarted\n" {
			t.Errorf("%+v", s)
		}
		found["more than the limit"].fails(t, "more than the limit", 2, "can't fork")
		if s := found["less than the limit"]; s.code != 0 || s.output != "\nall\n" {
			t.Errorf("below the limit: %+v", s)
		}
	case c.cgroup == "hybrid":
		s.fails(t, "hybrid", 125, refused+"the pids controller is bound to cgroup v1 (hybrid layout)")
	case !controller("pids"): // the kernel has it in version 1
		s.fails(t, "no controller", 125, refused+"this kernel has no pids controller")
	default:
		s.fails(t, "undelegated", 125, refused+"the pids controller is not delegated", "\nrl-run: hint: ")
	}
}

// driver reports whether the machine has a network driver, as the emulated guest has none.
func driver() bool {
	return slices.ContainsFunc([]string{"pasta", "slirp4netns"}, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
}

// oldTmpfs reports whether a tmpfs takes no user xattrs, as before Linux 6.6.
func oldTmpfs() bool {
	var major, minor int
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	_, err := fmt.Sscanf(string(release), "%d.%d", &major, &minor)
	return err == nil && (major < 6 || major == 6 && minor < 6)
}

// controller reports whether the kernel has bound a controller to cgroup v2, at the top.
func controller(name string) bool {
	text, _ := os.ReadFile("/sys/fs/cgroup/cgroup.controllers")
	return slices.Contains(strings.Fields(string(text)), name)
}
