package explain_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/launch/explain"
	"github.com/rl-run/rl-run/plan"
)

// structure is a script without the values of its words and without comments.
func structure(t *testing.T, start *launch.Start) []string {
	t.Helper()
	tokens, err := explain.Tokens(said(t, start))
	if err != nil {
		t.Fatal(err)
	}
	var shape []string
	for _, token := range tokens {
		switch {
		case strings.HasPrefix(token, "#"):
		case len(token) == 1 && strings.Contains("\n;&|<>()", token):
			shape = append(shape, token)
		default:
			shape = append(shape, "word")
		}
	}
	return shape
}

// FuzzScript: whatever a name is, it changes no command of the script but those
// words that are the name.
func FuzzScript(f *testing.F) {
	f.Add(hostile)
	f.Add("/")
	f.Add("/-n")
	f.Add("/a\n# step 9\nrm -r /\n")
	f.Add("/'; touch /tmp/z; '")
	f.Fuzz(func(t *testing.T, name string) {
		name = "/" + name
		if strings.Contains(name, "\x00") {
			if err := explain.Script(new(strings.Builder), full(name), false); err == nil {
				t.Fatal("a NUL is no error")
			}
			return
		}
		if got, want := structure(t, full(name)), structure(t, full("/name")); !slices.Equal(got, want) {
			t.Errorf("for %q the script has other commands", name)
		}
		check := exec.Command("/bin/sh", "-n")
		check.Stdin = strings.NewReader(said(t, full(name)))
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("for %q: %s", name, out)
		}
	})
}

var assigned = regexp.MustCompile(`^([A-Za-z_]+)=`)

// variables are those that a script sets.
func variables(t *testing.T, script string) (names []string) {
	t.Helper()
	tokens, err := explain.Tokens(script)
	if err != nil {
		t.Fatal(err)
	}
	begins := true // of a command
	for i, token := range tokens {
		switch {
		case strings.Contains("\n;&|()", token) || slices.Contains([]string{"then", "do", "else", "{"}, token):
			begins = true
			continue
		case begins && assigned.MatchString(token):
			names = append(names, assigned.FindStringSubmatch(token)[1])
			continue
		case begins && token == "for":
			names = append(names, tokens[i+1])
		case token == "read" && tokens[i+1] == "-r":
			for _, name := range tokens[i+2:] {
				if name == "<" || name == ";" {
					break
				}
				names = append(names, name)
			}
		}
		begins = false
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "_" || name == "PATH" })
}

// The script's own variables are known, so that none of the command's is taken
// for one of them.
func TestScriptKnowsItsVariables(t *testing.T) {
	got := variables(t, said(t, full("/name")))
	if want := explain.Taken(); !slices.Equal(got, want) {
		t.Errorf("the script sets %q, known are %q", got, want)
	}
}

func TestScriptRefusesWhatNoShellCan(t *testing.T) {
	noRoot := small()
	for i, e := range noRoot.Plan.Entries {
		if s, ok := e.Step.(plan.SetIDs); ok {
			s.UID, s.GID = 1000, 1000
			noRoot.Plan.Entries[i].Step = s
		}
	}
	elsewhere := small()
	last := len(elsewhere.Plan.Entries) - 1
	elsewhere.Plan.Entries[last].Step = plan.Exec{Paths: []string{"/bin/a"}, Argv: []string{"b"}}
	nothing := small()
	nothing.Plan.Entries = nothing.Plan.Entries[:last]
	unstarted := small()
	unstarted.Plan.Entries = unstarted.Plan.Entries[1:]
	waiting := small()
	waiting.Plan.Entries = append([]plan.Entry{}, waiting.Plan.Entries...)
	waiting.Plan.Entries[5] = plan.Entry{Actor: plan.Init, Step: plan.WaitFor{Whom: plan.Command}}
	waiting.Plan.Entries[last-1] = plan.Entry{Actor: plan.Command, Step: plan.WaitFor{Whom: plan.Init}}

	for _, c := range []struct {
		start *launch.Start
		want  string
	}{
		{noRoot, "explain as sh: step 3: become 1000:1000, keep the groups: mount(8) works for uid 0 alone, which the id map lacks"},
		{elsewhere, "explain as sh: step 15: exec b: a shell would look for it in other places"},
		{nothing, "explain as sh: the plan executes no command"},
		{unstarted, "explain as sh: the plan starts no process"},
		{waiting, "explain as sh: init and command wait for each other"},
		{full("/a\x00b"), "explain as sh: a shell script cannot hold a NUL byte"},
	} {
		err := explain.Script(new(strings.Builder), c.start, false)
		if err == nil || err.Error() != c.want {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
	var hint *launch.Hinted
	if err := explain.Script(new(strings.Builder), noRoot, false); !errors.As(err, &hint) {
		t.Errorf("%v has no hint", err)
	}
}

func TestShellcheck(t *testing.T) {
	shellcheck := trial.NeedTool(t, "shellcheck")
	scripts := map[string]string{"full": said(t, full(hostile)), "small": said(t, small())}
	if os.Geteuid() != 0 {
		scripts["usual"], scripts["copied"] = said(t, usual(t).compile(t)), said(t, copied(t).compile(t))
	}
	for name, script := range scripts {
		out, err := exec.Command(shellcheck, saved(t, script)).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
}

func TestCommandLine(t *testing.T) {
	trial.NeedUser(t)
	tree := trial.Tree(t, "busybox")
	dir := t.TempDir()

	r := trial.Run(t, "--quiet", "--explain=sh", "--userns=single", "-e", "TOKEN=hunter2", tree, "sh", "-c", `echo "it's $TOKEN"; exit 7`)
	script := r.OK(t) + "\n"
	if strings.Contains(script, "hunter2") {
		t.Error("the value of -e is in the script")
	}
	run := trial.Command{Path: "/bin/sh", Args: []string{saved(t, script)}, Env: []string{"TOKEN=from outside", "TMPDIR=" + dir}}.Run(t)
	if run.Code != 7 || run.Stdout != "it's from outside\n" {
		t.Errorf("got %+v", run)
	}
	script = trial.Run(t, "--quiet", "--explain=sh", "--show-secrets", "-t", "-e", "TOKEN=hunter2", tree, "sh", "-c", `echo "it's $TOKEN"`).OK(t)
	run = trial.Command{Path: "/bin/sh", Args: []string{saved(t, script)}}.Run(t)
	if run.Code != 0 || run.Stdout != "it's hunter2\n" {
		t.Errorf("got %+v", run)
	}

	text := trial.Run(t, "--quiet", "--explain", "-e", "TOKEN=hunter2", tree, "true").OK(t)
	if strings.Contains(text, "hunter2") || !strings.Contains(text, "exec true with PATH HOME USER HOSTNAME container TOKEN") {
		t.Errorf("the text form says %s", text)
	}
	if text := trial.Run(t, "--quiet", "--explain=text", "--show-secrets", "-e", "TOKEN=hunter2", tree, "true").OK(t); !strings.Contains(text, "TOKEN=hunter2") {
		t.Errorf("the text form says %s", text)
	}
	trial.Run(t, "--explain=perl", tree).Fails(t, 125, "rl-run: error: --explain", "perl")

	// a pipe is no file that could be started again
	pipe := trial.Command{Path: "/bin/sh", Stdin: strings.NewReader(script)}.Run(t)
	pipe.Fails(t, 125, "it must be a file")
}

// mountinfo has no symbolic links, the name of a temporary directory may.
func TestScriptInALinkedDirectory(t *testing.T) {
	watch(t)
	b := usual(t)
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "real place"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real place", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	want := b.byProgram(t)
	script := b.script(t)
	b.env = append(b.env, "TMPDIR="+filepath.Join(dir, "link"))
	for _, d := range differences(want, b.byScript(t, script)) {
		t.Error(d)
	}
}
