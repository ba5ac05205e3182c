package plan

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// allSteps has a value of each type of step.
var allSteps = []Step{
	StartKeeper{},
	KeepOutput{},
	KeepOutput{Give: true, UID: 1000, GID: 1000},
	ExecKeeper{Log: 1 << 20},
	ExecKeeper{Log: 1 << 20, Group: true},
	StartInit{unix.CLONE_NEWUSER},
	Unshare{unix.CLONE_NEWNS},
	JoinNet{},
	LoopbackUp{},
	LeaveChroot{},
	SetHostname{"box"},
	Propagate{"slave"},
	MapIDs{UID: []Extent{{0, 1000, 1}}, GID: []Extent{{0, 1000, 1}}, By: "direct"},
	EnterGroup{Way: "scope", Unit: "a.scope", Files: []GroupFile{{File: "pids.max", Value: "1"}}},
	EnterGroup{Way: "subtree", Parent: "/a", Name: "b"},
	MapOwnIDs{Extent{0, 1000, 1}, Extent{0, 1000, 1}},
	SetIDs{UID: 1, GID: 2, Groups: []uint32{3, 4}},
	MakeDir{"/a", 0o755},
	MakeFile{"/a"},
	Symlink{"/a", "b"},
	Mount{Type: "proc", Target: "/proc", Strict: true},
	Bind{Source: "/a", Target: "/b", Dev: 1, Ino: 2, Recursive: true, Attr: unix.MOUNT_ATTR_RDONLY, Slave: true},
	BindSelf{"/a", unix.MOUNT_ATTR_RDONLY},
	BindNode{"null"},
	OpenNull{},
	Mask{"/a", false},
	ProvideFile{"/a", "a", "content"},
	DropBounding{1, 40},
	KeepCaps{},
	SetCaps{1, 1, 0},
	RaiseAmbient{1},
	NoNewPrivs{},
	Seccomp{Profile: "p", Filter: []unix.SockFilter{{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW}}},
	DieWithParent{},
	DieWithParent{Again: true},
	DieWithParent{Sweep: true},
	DieWithParent{Again: true, Sweep: true, Later: true},
	HideMemory{},
	Subreaper{},
	StartCommand{},
	LetGo{Command},
	WaitFor{Command},
	NewKeyring{},
	NewSession{},
	SetUmask{0o22},
	SetLimit{"nofile", unix.RLIMIT_NOFILE, 1, 2},
	NullStdin{},
	NullStdin{Output: true},
	NullStdin{Output: true, Until: true},
	CloseOnExec{},
	ResetSignals{},
	Chdir{"/"},
	ExecInit{Tree: true},
	ExecInit{Loose: true},
	StartJoiner{},
	OwnMemory{},
	Join{unix.CLONE_NEWNET, "a", 1},
	JoinCgroup{"/a"},
	OutliveParent{},
	Leave{},
	Exec{Paths: []string{"/a", "/b"}, Argv: []string{"a"}, Env: []string{"A=1"}},
	Stage{1 << 20},
	StageDir{"upper", 0o2755, 1, 2},
	AttachTree{Path: "/a", Name: "lower", Dev: 1, Ino: 2, Recursive: true, ReadOnly: true},
	RootTmpfs{1 << 20, 0o755},
	Overlay{Lower: []string{"a", "b"}, Upper: "u", Work: "w", Volatile: true},
	OpenRoot{},
	CopyTree{"lower", "root", "/a", true},
	ReadOnlyRoot{},
	PivotRoot{},
	OpenTerminal{24, 80},
	TakeTerminal{},
	RemoveMountPoint{"/a", "/b", true},
	PrepareLayers{"/a", 0o755, "b"},
	RemoveLayers{"/a", nil, nil},
	ShareTree{"/a"},
	BindPorts{[]string{"8080:80/tcp"}},
	SendUserNS{},
	SendNetNS{},
	GiveNetNS{Driver},
	SetNetSysctl{"ipv4/ping_group_range", "0 1"},
	StartHelper{Driver},
	MakeVeth{"/bin/rl-veth", false, []string{"ip=192.168.47.12/24"}},
	AwaitNetwork{},
	ConfigureLink{"rlv0", "eth0"},
	JoinContainer{true},
	NewPIDNamespace{},
	ExecGuard{[]string{"/bin/pasta"}, "/etc/resolv.conf"},
	AwaitJoiner{},
	WriteIDMaps{[]Extent{{0, 0, 1}}, []Extent{{0, 0, 1}}},
	MakePort{"db", "10.9.8.7", []string{"pg"}},
	SendLink{},
}

// parents are the steps that only the launcher takes.
var parents = map[string]bool{
	"LeaveChroot": true, "StartKeeper": true, "MapIDs": true, "EnterGroup": true, "JoinCgroup": true, "RemoveMountPoint": true, "PrepareLayers": true, "RemoveLayers": true, "ShareTree": true, "BindPorts": true, "StartHelper": true, "GiveNetNS": true, "MakeVeth": true, "AwaitNetwork": true, "AwaitJoiner": true, "MakePort": true,
}

func typeName(s Step) string { return reflect.TypeOf(s).Name() }

// stepTypes are the types of this package that have a method Kind() Kind, and the
// constants of type Kind, as the source has them.
func stepTypes(t *testing.T) (types, kinds map[string]bool) {
	t.Helper()
	types, kinds = make(map[string]bool), make(map[string]bool)
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatal("the test needs the source of its package in the working directory", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Name.Name != "Kind" || n.Recv == nil {
					return true
				}
				of := n.Recv.List[0].Type
				if star, ok := of.(*ast.StarExpr); ok {
					of = star.X
				}
				types[of.(*ast.Ident).Name] = true
			case *ast.ValueSpec:
				if of, ok := n.Type.(*ast.Ident); ok && of.Name == "Kind" {
					for _, v := range n.Values {
						kinds[strings.Trim(v.(*ast.BasicLit).Value, `"`)] = true
					}
				}
			}
			return true
		})
	}
	return types, kinds
}

func TestNoStepIsForgotten(t *testing.T) {
	types, kinds := stepTypes(t)
	used := make(map[string]bool)
	for _, s := range allSteps {
		delete(types, typeName(s))
		if !kinds[string(s.Kind())] {
			t.Errorf("%s: the kind %q has no constant", typeName(s), s.Kind())
		}
		used[string(s.Kind())] = true
	}
	for name := range types {
		t.Errorf("%s is no step of this test", name)
	}
	for kind := range kinds {
		if !used[kind] {
			t.Errorf("no step is of the kind %q", kind)
		}
	}
}

// A step says in one line what it does, and is lowered to ops unless it is the
// parent's.
func TestEachStepIsLowered(t *testing.T) {
	for _, s := range allSteps {
		if text := s.String(); text == "" || strings.ContainsAny(text, "\n") || strings.Contains(text, "%!") {
			t.Errorf("%s: text %q", typeName(s), text)
		}
		for _, actor := range []Actor{Init, Command, Keeper, Joiner} {
			if (s.Kind() == KindStartCommand) != (actor == Init) && s.Kind() == KindStartCommand ||
				s.Kind() == KindStartInit && actor != Keeper && actor != Joiner ||
				s.Kind() == KindStartJoiner && actor != Keeper ||
				actor == Keeper && parents[typeName(s)] {
				continue // each starts but the one that comes after it
			}
			var pl Plan
			pl.Add(Parent, StartInit{unix.CLONE_NEWUSER}, "")
			pl.Add(actor, s, "")
			c, err := Prepare(pl, Options{Verbose: true, Timing: true})
			switch {
			case parents[typeName(s)] && err == nil:
				c.Close()
				t.Errorf("%s is lowered for %s", typeName(s), actor)
			case !parents[typeName(s)] && err != nil:
				t.Errorf("%s for %s: %v", typeName(s), actor, err)
			case err == nil:
				c.Close()
			}
		}
	}
}

// A plan whose arguments or steps do not fit is refused before anything starts.
func TestFullArena(t *testing.T) {
	long := Exec{Paths: []string{"/bin/true"}, Argv: []string{"true", strings.Repeat("x", arenaSize)}}
	var many []string
	for range 1 << 20 {
		many = append(many, "A=0123456789012345")
	}
	content := ProvideFile{Target: "/a", Name: "a", Content: strings.Repeat("x", arenaSize)}
	for name, pl := range map[string]Plan{
		"an argument":  begin(long),
		"environment":  begin(Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}, Env: many}),
		"a file":       begin(content),
		"steps":        begin(make([]Step, 1<<17)...),
		"file mounted": begin(content, Chdir{"/"}, long),
	} {
		for i, e := range pl.Entries {
			if e.Step == nil {
				pl.Entries[i].Step = NewSession{}
			}
		}
		c, err := Prepare(pl, Options{Verbose: name == "steps"})
		if !errors.Is(err, unix.E2BIG) {
			t.Errorf("%s: %v, want E2BIG", name, err)
		}
		if err == nil {
			c.Close()
		}
	}
}

// As much as execve(2) takes fits.
func TestLongArguments(t *testing.T) {
	var words []string
	for range 15 {
		words = append(words, strings.Repeat("x", 128<<10-1)) // MAX_ARG_STRLEN
	}
	pl := begin(Exec{Paths: []string{"/bin/sh"}, Argv: append([]string{"sh", "-c", `[ $# = 15 ] && [ ${#15} = 131071 ] && exit 7`, "sh"}, words...)})
	if _, ws, err := run(t, Options{}, pl); err != nil || ws.ExitStatus() != 7 {
		t.Errorf("status %#x, %v", ws, err)
	}
}

// Each step that a child begins is a line on stderr.
func TestVerbose(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	saved, err := unix.FcntlInt(2, unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Dup3(int(w.Fd()), 2, 0); err != nil {
		t.Fatal(err)
	}
	_, _, rerr := run(t, Options{Verbose: true}, begin(SetUmask{0o27}, Chdir{"/nowhere"}, NewSession{}))
	_ = unix.Dup3(saved, 2, 0)
	_ = unix.Close(saved)
	_ = w.Close()
	var buf [4096]byte
	n, err := r.Read(buf[:])
	if err != nil {
		t.Fatal(err)
	}
	text := string(buf[:n])
	checkStepError(t, rerr, 6, unix.ENOENT)
	if !strings.Contains(text, "rl-run: step 6 init: set umask 0027\nrl-run: step 7 init: enter /nowhere\n") || strings.Contains(text, "session") {
		t.Errorf("stderr:\n%s", text)
	}
}

// Who ends in a container that was joined has closed all before, see program.exit.
func TestNothingIsOpenAtTheEnd(t *testing.T) {
	a, err := newArena()
	if err != nil {
		t.Fatal(err)
	}
	defer a.free()
	leave := &program{a: a, ops: a.newOps(64)}
	Leave{}.lower(leave)
	c, err := Prepare(Plan{Entries: []Entry{
		{Parent, StartJoiner{}, ""},
		{Joiner, StartInit{unix.CLONE_NEWUSER}, ""},
		{Joiner, WriteIDMaps{[]Extent{{0, 0, 1}}, []Extent{{0, 0, 1}}}, ""},
	}}, Options{Image: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for name, ops := range map[string][]op{"leave": leave.ops, "joiner": unsafe.Slice(c.first, maxJoinerOps)} {
		ends, last := 0, 0
		for i, o := range ops {
			if o.nr != 0 || o.kind != 0 {
				last = i
			}
			if o.nr != unix.SYS_EXIT_GROUP {
				continue
			}
			ends++
			if i == 0 || ops[i-1].nr != unix.SYS_CLOSE_RANGE || ops[i-1].arg != [6]uint64{0, allFDs} {
				t.Errorf("%s: op %d ends the process, and none closes all before it", name, i)
			}
		}
		if ends != 1 || ops[last].nr != unix.SYS_EXIT_GROUP {
			t.Errorf("%s: %d ends, want 1, and nothing behind it", name, ends)
		}
	}
}
