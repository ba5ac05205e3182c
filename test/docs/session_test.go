package docs

import (
	"flag"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

var update = flag.Bool("update", false, "write into the documents what the commands answer")

// step is a command of a session with the lines of its answer.
type step struct {
	line    int
	command string
	answer  []string
}

const (
	indent = "    "
	prompt = indent + "$ "
)

// sessions takes a document apart: steps, and what stands before each and at the end.
func sessions(text string) (between [][]string, steps []step) {
	var prose []string
	inside := false // a session
	plain := true   // the last line that is not empty is no part of an indented block
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for n, line := range lines {
		switch {
		case strings.HasPrefix(line, prompt) && (plain || inside):
			between = append(between, prose)
			prose, inside = nil, true
			steps = append(steps, step{line: n + 1, command: strings.TrimPrefix(line, prompt)})
		case inside && strings.HasPrefix(line, indent):
			last := &steps[len(steps)-1]
			last.answer = append(last.answer, strings.TrimPrefix(line, indent))
		case inside && line == "" && n+1 < len(lines) && strings.HasPrefix(lines[n+1], indent):
			last := &steps[len(steps)-1]
			last.answer = append(last.answer, "")
		default:
			inside = false
			prose = append(prose, line)
		}
		if line != "" {
			plain = !strings.HasPrefix(line, indent)
		}
	}
	return append(between, prose), steps
}

// What differs from one machine, user or run to the next.
var changing = []struct {
	pattern *regexp.Regexp
	to      string
}{
	{regexp.MustCompile(`\b40265\d{5}\b`), "INODE"},
	{regexp.MustCompile(`\b0x[0-9a-f]+\b`), "HEX"},
	{regexp.MustCompile(`(?m)^ *\d+ (parent|init|command|driver)\b`), "STEP $1"}, // of a plan
	{regexp.MustCompile(`exec a guard of .* {3}#`), "exec a guard of DRIVER #"},
	{regexp.MustCompile(`\bstep \d+\b`), "step N"},
	{regexp.MustCompile(`\d+ instructions`), "N instructions"},
	{regexp.MustCompile(`\b10\.\d+\.\d+\.\d+\b`), "10.N.N.N"}, // of a network
	// An init beside which the command runs already, before it executes the static one, or while the kernel does so and
	// it has no arguments yet.
	{regexp.MustCompile(`\{(memfd:)?rl-init\} rl-run .*|\[memfd:rl-init\]|\{memfd:rl-init\} rl-init \d+`), "rl-init FD"},
	{regexp.MustCompile(`(?m) root +rl-exec \d+$`), " root rl-init FD loose"},
	{regexp.MustCompile(`rl-init \d+`), "rl-init FD"},
	{regexp.MustCompile(`\d+\.\d+(M| MiB)\b`), "SIZE"},
	{regexp.MustCompile(`\b\d+ inodes|\b\d+%`), "COUNT"},
	{regexp.MustCompile(`"Pid": \d+|/proc/\d+/`), "PID"},
	{regexp.MustCompile(`(?m)^(\w+ +running|web) +\d+ `), "$1 PID "}, // of rl-ps
	{regexp.MustCompile(`(?m)^ +\d+ (root|1000) `), "PID $1 "},       // of ps
	{regexp.MustCompile(` (now|\d+ seconds? ago) `), " AGO "},
	{regexp.MustCompile(`\b[A-Z][a-z]{2} +\d+ \d\d:\d\d\b`), "TIME"},
	{regexp.MustCompile(`( +CPU\d+)+`), "CPUS"},
	{regexp.MustCompile(` +`), " "},
	{regexp.MustCompile(`(?m) +$`), ""},
}

func normal(text string) string {
	for _, c := range changing {
		text = c.pattern.ReplaceAllString(text, c.to)
	}
	return text
}

// try runs the sessions of a document in a directory, and compares the answers.
func try(t *testing.T, document string, setUp func(dir string)) {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	dir := t.TempDir()
	setUp(dir)
	path := filepath.Join("..", "..", document)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	between, steps := sessions(string(text))
	if len(steps) < 5 {
		t.Fatalf("%s has %d commands, which is too few to be right", document, len(steps))
	}
	me := caller(t, dir)
	for i := range steps {
		s := &steps[i]
		r := trial.Command{
			Path: "sh", Args: []string{"-c", "exec 2>&1\n" + s.command}, Dir: dir, Timeout: 2 * time.Minute,
			Env: []string{"PATH=" + filepath.Dir(trial.Bin(t, "rl-run")) + ":" + os.Getenv("PATH"), "PS1=$ ", "HOME=" + dir},
		}.Run(t)
		got := strings.TrimSuffix(me.Replace(r.Stdout), "\n")
		if want := strings.TrimRight(strings.Join(s.answer, "\n"), "\n"); !*update && normal(got) != normal(want) {
			t.Errorf("%s:%d: %s\ngot:\n%s\nwant:\n%s", document, s.line, s.command, got, want)
		}
		s.answer = strings.Split(got, "\n")
		if got == "" {
			s.answer = nil
		}
	}
	if *update {
		write(t, path, between, steps)
	}
}

// caller replaces what is the caller's own by what the documents have.
func caller(t *testing.T, dir string) *strings.Replacer {
	t.Helper()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	subuid, err := os.ReadFile("/etc/subuid")
	if err != nil {
		t.Fatal(err)
	}
	first, fifth := "100000", "100004"
	for line := range strings.Lines(string(subuid)) {
		if f := strings.Split(line, ":"); len(f) == 3 && (f[0] == me.Username || f[0] == me.Uid) {
			n, err := strconv.Atoi(f[1])
			if err != nil {
				t.Fatal(err)
			}
			first, fifth = f[1], strconv.Itoa(n+4)
		}
	}
	return strings.NewReplacer(
		trial.Tree(t, "busybox"), "/home/me/tree", dir, "/home/me",
		":"+me.Uid+":", ":1001:", " "+me.Uid+" ", " 1001 ", ":"+first+":", ":100000:", " "+first+" ", " 100000 ",
		fifth+" ", "100004 ", "="+me.Uid+" ", "=1001 ", "="+me.Uid+"\n", "=1001\n", "\r\n", "\n",
		me.Username, "me")
}

func write(t *testing.T, path string, between [][]string, steps []step) {
	t.Helper()
	var b strings.Builder
	for i, prose := range between {
		for _, line := range prose {
			fmt.Fprintln(&b, line)
		}
		if i == len(steps) {
			break
		}
		fmt.Fprintln(&b, prompt+steps[i].command)
		for _, line := range steps[i].answer {
			fmt.Fprintln(&b, strings.TrimRight(indent+line, " "))
		}
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

func TestUnderTheHood(t *testing.T) {
	try(t, "docs/under-the-hood.md", func(dir string) {
		link(t, trial.Tree(t, "busybox"), filepath.Join(dir, "tree"))
	})
}

func TestReadme(t *testing.T) {
	try(t, "README.md", func(dir string) {
		link(t, filepath.Dir(trial.Bin(t, "rl-run")), filepath.Join(dir, "bin"))
		link(t, trial.Tree(t, "busybox"), filepath.Join(dir, ".cache/trees/busybox"))
	})
}

// ownTree copies the busybox tree for what writes to it, and gives a source to mount.
func ownTree(t *testing.T, dir string) {
	t.Helper()
	trial.Command{Path: "cp", Args: []string{"-a", trial.Tree(t, "busybox"), filepath.Join(dir, "tree")}}.Run(t).OK(t)
	src := filepath.Join(dir, "src")
	if err := os.Mkdir(src, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "file"), []byte("hello\n"), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestLifecycle(t *testing.T) { try(t, "docs/lifecycle.md", func(dir string) { ownTree(t, dir) }) }

func TestNetwork(t *testing.T) { try(t, "docs/network.md", func(dir string) { ownTree(t, dir) }) }

func TestUsage(t *testing.T) { try(t, "docs/usage.md", func(dir string) { ownTree(t, dir) }) }
