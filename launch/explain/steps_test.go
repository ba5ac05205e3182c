package explain_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/launch/explain"
	"github.com/rl-run/rl-run/plan"
)

// stepTypes are the types of package plan that implement Step.
func stepTypes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../../plan/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("no source of package plan", err)
	}
	var names []string
	for _, name := range files {
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, d := range f.Decls {
			if m, ok := d.(*ast.FuncDecl); ok && m.Recv != nil && m.Name.Name == "Kind" {
				if of, ok := m.Recv.List[0].Type.(*ast.Ident); ok {
					names = append(names, of.Name)
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

// unseen are the steps that make no difference in a container that a script has
// built, with the reason.
var unseen = map[string]string{
	"DieWithParent":   "shows when the parent dies; rl-run arms its init, the script the command that takes its place",
	"KeepCaps":        "setpriv keeps capabilities over a change of ids by itself",
	"StartCommand":    "says from where on init's steps concern init alone",
	"LetGo":           "is about the order of two processes, which a script does the work of in one",
	"WaitFor":         "is about the order of two processes, which a script does the work of in one",
	"JoinNet":         "brings two processes together, which a script does the work of in one",
	"OpenRoot":        "only keeps a handle for the steps behind it",
	"OpenNull":        "only checks what the masks are made of",
	"LeaveChroot":     "is left out, and said so",
	"ShareTree":       "shows when another container uses the tree, and changes nothing in this one",
	"HideMemory":      "protects the launcher's memory, which a script has not in the container",
	"BindPorts":       "is about the network, of which a script has lo alone",
	"SendUserNS":      "is about the network, of which a script has lo alone",
	"GiveNetNS":       "is about the network, of which a script has lo alone",
	"SendNetNS":       "is about the network, of which a script has lo alone",
	"SetNetSysctl":    "is about the network, of which a script has lo alone",
	"StartHelper":     "is about the network, of which a script has lo alone",
	"MakeVeth":        "is about the network, of which a script has lo alone",
	"AwaitNetwork":    "is about the network, of which a script has lo alone",
	"ConfigureLink":   "is about the network, of which a script has lo alone",
	"JoinContainer":   "is about the network, of which a script has lo alone",
	"NewPIDNamespace": "is about the network, of which a script has lo alone",
	"AwaitJoiner":     "is about a session, which a script does without",
	"WriteIDMaps":     "is about a session, which a script does without",
	"MakePort":        "is about a session, which a script does without",
	"SendLink":        "is about a session, which a script does without",
	"ExecGuard":       "is about the network, of which a script has lo alone",
	"Subreaper":       "is about init, which a script leaves out",
	"ExecInit":        "is about init, which a script leaves out",
	"ResetSignals":    "undoes what only the launcher does",
	"OpenTerminal":    "is left out, and said so",
	"TakeTerminal":    "is left out, and said so",
	"StartKeeper":     "is left out, and said so",
	"KeepOutput":      "is left out, and said so",
	"StartJoiner":     "says from where on nsenter is at work",
	"OwnMemory":       "keeps a launcher's memory from the container, which a script has not",
	"Join":            "is for containers that share namespaces with another one",
	"JoinCgroup":      "is left out, and said so",
	"OutliveParent":   "is left out, and said so",
	"Leave":           "is left out, and said so",
	"ExecKeeper":      "is left out, and said so",
	"EnterGroup":      "is left out, and said so",
	"Seccomp":         "is left out, and said so",
}

// essential are those of unseen that the rest of the plan cannot do without.
var essential = []string{"StartCommand", "LetGo", "WaitFor", "OpenTerminal", "TakeTerminal"}

// A step that is new in package plan must get its mutation, or a reason.
func TestEveryStepIsMutated(t *testing.T) {
	mutated := map[string]bool{}
	for _, m := range mutations(t) {
		mutated[reflect.TypeOf(m.step).Name()] = true
	}
	all := stepTypes(t)
	for _, name := range all {
		if reason, ok := unseen[name]; ok == mutated[name] || ok && reason == "" {
			t.Errorf("step %s: mutated %v, reason to leave it out %q", name, mutated[name], reason)
		}
	}
	for _, name := range slices.Concat(slices.Collect(maps.Keys(mutated)), slices.Collect(maps.Keys(unseen))) {
		if !slices.Contains(all, name) {
			t.Errorf("%s is no step of package plan", name)
		}
	}
}

// Without the steps that are said to make no difference the container is the same.
func TestUnseenStepsMakeNoDifference(t *testing.T) {
	for name, of := range map[string]func(*testing.T) base{"usual": usual, "sharing": sharing, "plain user": plainUser} {
		t.Run(name, func(t *testing.T) {
			watch(t)
			b := of(t)
			start := b.compile(t)
			want := b.byProgram(t)
			start.Plan.Entries = slices.DeleteFunc(start.Plan.Entries, func(e plan.Entry) bool {
				name := reflect.TypeOf(e.Step).Name()
				return unseen[name] != "" && !slices.Contains(essential, name)
			})
			for _, d := range differences(want, b.byScript(t, said(t, start))) {
				t.Error(d)
			}
		})
	}
}

// The generator knows every type of step.
func TestEveryStepHasItsBlock(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "script.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	block := slices.IndexFunc(f.Decls, func(d ast.Decl) bool {
		m, ok := d.(*ast.FuncDecl)
		return ok && m.Name.Name == "block"
	})
	ast.Inspect(f.Decls[block], func(n ast.Node) bool {
		c, ok := n.(*ast.CaseClause)
		if !ok {
			return true
		}
		for _, x := range c.List {
			if of, ok := x.(*ast.SelectorExpr); ok {
				known[of.Sel.Name] = true
			}
		}
		return true
	})
	for _, name := range stepTypes(t) {
		if !known[name] {
			t.Errorf("no block is written for plan.%s", name)
		}
	}
}

type unknownStep struct{}

func (unknownStep) Kind() plan.Kind { return "unknown" }
func (unknownStep) String() string  { return "do what nobody knows" }

func TestUnknownStepIsAnError(t *testing.T) {
	var pl plan.Plan
	pl.Add(plan.Init, unknownStep{}, "")
	err := explain.Script(io.Discard, &launch.Start{Plan: pl}, false)
	if err == nil || err.Error() != "explain as sh: step 1: do what nobody knows: no shell command is known for a step of kind unknown" {
		t.Errorf("got %v", err)
	}
}

func TestScriptCleansUp(t *testing.T) {
	for _, c := range []struct {
		name string
		edit edit
		code int
	}{
		{"after success", both(), 0},
		{"after a failed step inside", change(func(s plan.Symlink) plan.Step {
			s.Path = "/nowhere/link"
			return s
		}), 125},
		{"after a failed map", change(func(s plan.MapIDs) plan.Step {
			s.UID = []plan.Extent{{Inside: 0, Outside: 4000000000, Count: 2}}
			return s
		}), 125},
		{"after a failed exec", change(func(s plan.Exec) plan.Step {
			s.Paths, s.Argv = []string{"/no/such/program"}, []string{"/no/such/program"}
			return s
		}), 127},
	} {
		t.Run(c.name, func(t *testing.T) {
			watch(t)
			b := writable(t)
			before := b.look(t, view{})
			start := b.compile(t)
			c.edit(&start.Plan)
			dir := t.TempDir()
			b.env = append(b.env, "TMPDIR="+dir)
			r := b.command(t, "/bin/sh", saved(t, said(t, start))).Run(t)
			if r.Code != c.code {
				t.Errorf("exit code %d, want %d: %s", r.Code, c.code, r.Stderr)
			}
			if left, _ := filepath.Glob(dir + "/*"); len(left) > 0 {
				t.Errorf("left behind: %q", left)
			}
			for _, d := range differences(before, b.look(t, view{})) {
				t.Errorf("ROOTFS has changed: %s", d)
			}
		})
	}
}

// While another container uses the tree its mount points stay, as with rl-run.
func TestScriptSharesItsTree(t *testing.T) {
	watch(t)
	b := writable(t)
	other, err := os.Open(b.rootfs)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	made := filepath.Join(b.rootfs, "made")
	script := said(t, b.compile(t))
	for _, shared := range []bool{true, false} {
		how := unix.LOCK_UN
		if shared {
			how = unix.LOCK_SH
		}
		if err := unix.Flock(int(other.Fd()), how); err != nil {
			t.Fatal(err)
		}
		if v := b.byScript(t, script); v["no view"] != "" {
			t.Fatal(v)
		}
		if _, err := os.Stat(made); (err == nil) != shared {
			t.Errorf("used by another container: %v; the mount point: %v", shared, err)
		}
	}
}

func TestScriptDiesWithItsStarter(t *testing.T) {
	watch(t)
	b := usual(t)
	dir := t.TempDir()
	b.env = append(b.env, "TMPDIR="+dir)
	start := b.compile(t)
	change(func(s plan.Exec) plan.Step {
		s.Paths, s.Argv = []string{"/bin/sh"}, []string{"/bin/sh", "-c", "echo ready; sleep 60"}
		return s
	})(&start.Plan)
	r := b.command(t, "/bin/sh", saved(t, said(t, start))).Start(t)
	r.Stdout("ready")
	r.Signal(unix.SIGKILL)
	r.Wait()
	for range 200 {
		if left, _ := filepath.Glob(dir + "/*"); len(left) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("its directory is left behind")
}
