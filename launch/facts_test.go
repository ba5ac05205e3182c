package launch

import (
	"errors"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

// sampleSteps are steps that may fail where only trying can tell, each with the
// name of the fact that its failure disproves.
var sampleSteps = []struct {
	step   plan.Step
	errnos []unix.Errno
	fact   string
}{
	{plan.StartInit{}, []unix.Errno{unix.ENOSYS}, "Clone3"},
	{plan.StartKeeper{}, []unix.Errno{unix.ENOSYS}, "Clone3"},
	{plan.StartJoiner{}, []unix.Errno{unix.ENOSYS}, "Clone3"},
	{plan.StartInit{}, []unix.Errno{unix.EPERM}, "OwnRoot"},
	{plan.SetHostname{Name: "box"}, []unix.Errno{unix.EPERM}, "OwnName"},
	{plan.NewKeyring{}, []unix.Errno{unix.EPERM}, "OwnKeyring"},
	{plan.Mount{Type: "proc", Target: "/proc"}, []unix.Errno{unix.EPERM}, "OwnProc"},
	{plan.Mount{Type: "sysfs", Target: "/sys"}, []unix.Errno{unix.EPERM}, "OwnSys"},
	{plan.Mount{Type: "cgroup2", Target: "/sys/fs/cgroup"}, []unix.Errno{unix.EPERM, unix.EBUSY, unix.ENODEV, unix.ENOENT}, "OwnCgroup"},
	{plan.Mount{Type: "mqueue", Target: "/dev/mqueue"}, []unix.Errno{unix.EPERM, unix.ENODEV}, "MQueue"},
	{plan.Overlay{Lower: []string{"lower"}, Upper: "upper", Work: "work"}, []unix.Errno{unix.EINVAL}, "TmpfsUpper"},
	{plan.Overlay{Lower: []string{"lower"}, Upper: "upper", Work: "work"}, []unix.Errno{unix.ENODEV, unix.EPERM, unix.EINVAL}, "Overlay"},
	{plan.AttachTree{Path: "/tree", Name: "lower"}, []unix.Errno{unix.EINVAL}, "PlainTree"},

	// and their neighbours, whose failure says nothing
	{plan.Mount{Type: "tmpfs", Target: "/dev"}, nil, ""},
	{plan.Mount{Type: "devpts", Target: "/dev/pts"}, nil, ""},
	{plan.RootTmpfs{}, nil, ""},
	{plan.AttachTree{Path: "/disk", Name: "disk"}, nil, ""},
	{plan.AttachTree{Path: "/tree", Name: "root"}, nil, ""},
	{plan.Stage{}, nil, ""},
	{plan.Bind{Source: "/proc", Target: "/proc"}, nil, ""},
	{plan.Unshare{Flags: unix.CLONE_NEWNS}, nil, ""},
	{plan.Exec{Paths: []string{"/bin/sh"}}, nil, ""},
}

// allBut are the facts at first, without one.
func allBut(fact string) Facts {
	f := AllFacts
	reflect.ValueOf(&f).Elem().FieldByName(fact).SetBool(false)
	return f
}

// Each errno of each step turns just the fact that it disproves.
func TestErrnosThatTurnAFact(t *testing.T) {
	for _, s := range sampleSteps {
		for e := unix.Errno(1); e < 134; e++ {
			left, changed := AllFacts.Without(&plan.StepError{Actor: plan.Init, Step: s.step, Err: e})
			want := AllFacts
			for _, same := range sampleSteps {
				if reflect.DeepEqual(same.step, s.step) && slices.Contains(same.errnos, e) {
					want = allBut(same.fact)
					break // the first of a ladder
				}
			}
			if left != want || changed != (want != AllFacts) {
				t.Errorf("%s: %v: facts %+v, changed %t; want %+v", s.step, e, left, changed, want)
			}
		}
	}
}

// What no line above speaks of is not in the table either.
func TestTableOfFactsIsTested(t *testing.T) {
	named := make(map[string]bool)
	for _, line := range flips {
		f := AllFacts
		*line.fact(&f) = false
		found := false
		for _, s := range sampleSteps {
			if s.fact == "" || f != allBut(s.fact) {
				continue
			}
			found = true
			named[s.fact] = true
			if s.step.Kind() != line.kind || line.detail != "" && detail(s.step) != line.detail {
				continue
			}
			for _, e := range line.errnos {
				if !slices.Contains(s.errnos, e) {
					t.Errorf("%s: %v is in the table and not in this test", s.step, e)
				}
			}
		}
		if !found {
			t.Errorf("a line for %s %s is in the table and not in this test", line.kind, line.detail)
		}
	}
	for field := range reflect.TypeFor[Facts]().Fields() {
		if !named[field.Name] {
			t.Errorf("nothing turns %s", field.Name)
		}
	}
}

// A fact that is given up stays so: the same failure again ends the start.
func TestFactsAreGivenUpOnce(t *testing.T) {
	for _, s := range sampleSteps {
		if s.fact == "" {
			continue
		}
		failed := &plan.StepError{Step: s.step, Err: s.errnos[0]}
		left, _ := AllFacts.Without(failed)
		if takenInAnotherWay(s.fact) {
			left, _ = left.Without(failed) // to what is left of the ladder
		}
		if again, changed := left.Without(failed); changed || again != left {
			t.Errorf("%s: a second failure changes the facts from %+v to %+v", s.step, left, again)
		}
	}
	f, rounds := AllFacts, 0
	for changed := true; changed; rounds++ {
		changed = false
		for _, s := range sampleSteps {
			for _, e := range s.errnos {
				var turned bool
				f, turned = f.Without(&plan.StepError{Step: s.step, Err: e})
				changed = changed || turned
			}
		}
		if rounds > reflect.TypeFor[Facts]().NumField() {
			t.Fatal("there is no end to it")
		}
	}
	if f != (Facts{}) {
		t.Errorf("after all failures: %+v", f)
	}
}

func TestFactsNeedAnErrno(t *testing.T) {
	proc := plan.Mount{Type: "proc", Target: "/proc"}
	for _, err := range []error{errors.New("short"), plan.ErrGone, os.ErrPermission} {
		if left, changed := AllFacts.Without(&plan.StepError{Step: proc, Err: err}); changed || left != AllFacts {
			t.Errorf("%v: facts %+v", err, left)
		}
	}
	wrapped := &plan.StepError{Step: proc, Err: os.NewSyscallError("mount", unix.EPERM)}
	if left, changed := AllFacts.Without(wrapped); !changed || left != allBut("OwnProc") {
		t.Errorf("%v: facts %+v", wrapped, left)
	}
}

// takenInAnotherWay tells the facts whose step is in the plan without them, too, and may fail once more.
func takenInAnotherWay(fact string) bool {
	return fact == "TmpfsUpper" || fact == "Clone3" || fact == "OwnRoot"
}

// With a fact given up, the step that disproved it is not taken again, so that
// no start fails twice in the same way.
func TestPlansWithoutAFactLackItsStep(t *testing.T) {
	for _, g := range goldens {
		s, h := g.inputs()
		for _, sample := range sampleSteps {
			if sample.fact == "" || takenInAnotherWay(sample.fact) {
				continue
			}
			without := *h
			f := reflect.ValueOf(&without.Facts).Elem()
			f.FieldByName(sample.fact).SetBool(false)
			start, err := Compile(s, &without, nil)
			if err != nil {
				// a root that cannot be had without an overlay, and says so
				// or a name that was asked for, or a filter that may let keys be reached
				if sample.fact != "Overlay" && sample.fact != "PlainTree" && (sample.fact != "OwnName" || s.Hostname == "") &&
					(sample.fact != "OwnKeyring" || s.Seccomp == "") {
					t.Errorf("%s without %s: %v", g.name, sample.fact, err)
				}
				continue
			}
			for i, e := range start.Plan.Entries {
				if e.Step.Kind() != sample.step.Kind() || detail(e.Step) != detail(sample.step) {
					continue
				}
				if a, ok := e.Step.(plan.AttachTree); ok && a.Recursive {
					continue // with the mounts below it works
				}
				t.Errorf("%s without %s: step %d: %s", g.name, sample.fact, i+1, e.Step)
			}
			if err := start.Plan.Check(); err != nil && (&plan.Plan{Entries: g.compile(t).Plan.Entries}).Check() == nil {
				t.Errorf("%s without %s: %v", g.name, sample.fact, err)
			}
		}
	}
}

// What a child reports at a step of the parent's is the number of an error, and the message says at what.
func TestExplainNamesTheStep(t *testing.T) {
	e := &plan.StepError{Index: 2, Actor: plan.Parent, Step: plan.MapIDs{By: "helpers"}, Err: unix.ENOSPC}
	if got := Explain(e); !strings.Contains(got, "map ids") || !strings.Contains(got, "no space left on device (step 3)") {
		t.Errorf("%s", got)
	}
}
