package launch

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/plan"
)

// sideBySide: init and command do not wait for each other's steps.
func sideBySide(a, b plan.Actor) bool { return a != b && a != plan.Parent && b != plan.Parent }

// concerns reports whether a rule speaks of two entries, of which before stands
// behind after.
func concerns(r plan.Rule, before, after plan.Entry) bool {
	for _, e := range []plan.Entry{before, after} {
		if r.Actor != plan.AnyActor && e.Actor != r.Actor {
			return false
		}
	}
	return before.Step.Kind() == r.Before && after.Step.Kind() == r.After && !sideBySide(before.Actor, after.Actor)
}

// broken is what Check decides, as a look at all pairs.
func broken(entries []plan.Entry) bool {
	for i, after := range entries {
		for _, before := range entries[i+1:] {
			for _, r := range plan.Rules {
				if concerns(r, before, after) {
					return true
				}
			}
		}
	}
	return false
}

func check(entries []plan.Entry) error { return (&plan.Plan{Entries: entries}).Check() }

// meeting finds two steps in the right order of which a rule speaks; -1 for none.
func meeting(r plan.Rule, entries []plan.Entry) (first, last int) {
	for i, before := range entries {
		for j := len(entries) - 1; j > i; j-- {
			if concerns(r, before, entries[j]) {
				return i, j
			}
		}
	}
	return -1, -1
}

// Each rule finds its own breach in some golden plan, where one of its two steps
// is moved past the other: no rule is about steps that never meet.
func TestEachRuleIsNeeded(t *testing.T) {
	plans := make([][]plan.Entry, len(goldens))
	for i, g := range goldens {
		plans[i] = g.compile(t).Plan.Entries
	}
	for _, r := range plan.Rules {
		t.Run(string(r.Before)+"<"+string(r.After), func(t *testing.T) {
			if r.Before == r.After {
				t.Fatal("the rule is about one kind")
			}
			exercised := 0
			for i, entries := range plans {
				first, last := meeting(r, entries)
				if first < 0 {
					continue
				}
				exercised++

				// the two alone, so that no other rule can speak of them
				err := check([]plan.Entry{entries[last], entries[first]})
				if err == nil {
					t.Fatalf("%s: %q behind %q passes", goldens[i].name, entries[first].Step, entries[last].Step)
				}
				others := slices.ContainsFunc(plan.Rules, func(o plan.Rule) bool { return o != r && o.Before == r.Before && o.After == r.After })
				for _, part := range []string{entries[first].Step.String(), entries[last].Step.String(), r.Why} {
					if !strings.Contains(err.Error(), part) && !others {
						t.Errorf("%s: the error does not say %q: %v", goldens[i].name, part, err)
					}
				}

				// in the whole plan
				moved := slices.Delete(slices.Clone(entries), first, first+1)
				moved = slices.Insert(moved, last, entries[first])
				if check(moved) == nil {
					t.Errorf("%s: the plan passes with %q moved behind %q", goldens[i].name, entries[first].Step, entries[last].Step)
				}
			}
			if exercised == 0 {
				t.Error("no golden plan has both steps")
			}
		})
	}
}

// Check finds every breach that a look at all pairs finds, and no other.
func TestShuffledPlans(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	caught, harmless := 0, 0
	for _, g := range goldens {
		entries := g.compile(t).Plan.Entries
		for range 40 {
			moved := slices.Clone(entries)
			for range 1 + random.IntN(3) {
				from, to := random.IntN(len(moved)), random.IntN(len(moved))
				e := moved[from]
				moved = slices.Insert(slices.Delete(moved, from, from+1), to, e)
			}
			err := check(moved)
			switch is := broken(moved); {
			case is && err == nil:
				t.Errorf("%s: a broken plan passes:\n%s", g.name, firstBreach(moved))
				return
			case !is && err != nil:
				t.Errorf("%s: a plan that breaks no rule is refused: %v", g.name, err)
				return
			case is:
				caught++
			default:
				harmless++
			}
		}
	}
	if caught < harmless/10 {
		t.Errorf("only %d of %d shuffles break a rule", caught, caught+harmless)
	}
	t.Logf("%d shuffles break a rule, %d do not", caught, harmless)
}

func firstBreach(entries []plan.Entry) string {
	for i, after := range entries {
		for _, before := range entries[i+1:] {
			for _, r := range plan.Rules {
				if concerns(r, before, after) {
					return before.Actor.String() + " " + before.Step.String() + "\nstands behind\n" +
						after.Actor.String() + " " + after.Step.String() + "\n" + r.Why
				}
			}
		}
	}
	return ""
}
