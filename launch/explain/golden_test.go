package explain_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/launch/explain"
	"github.com/rl-run/rl-run/plan"
)

var update = flag.Bool("update", false, "write testdata anew")

var forms = []struct {
	name  string
	write func(io.Writer, *launch.Start, bool) error
}{{"txt", explain.Text}, {"json", explain.JSON}, {"sh", explain.Script}}

func TestGolden(t *testing.T) {
	for name, start := range map[string]*launch.Start{"full": full(hostile), "small": small()} {
		for _, form := range forms {
			t.Run(name+"."+form.name, func(t *testing.T) {
				var got bytes.Buffer
				if err := form.write(&got, start, false); err != nil {
					t.Fatal(err)
				}
				file := filepath.Join("testdata", name+"."+form.name)
				if *update {
					if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), want) {
					t.Errorf("differs from %s (go test -update writes it anew):\n%s", file, got.Bytes())
				}
			})
		}
	}
}

func TestFixturesHaveEveryStep(t *testing.T) {
	var has []string
	for _, start := range []*launch.Start{full(hostile), small()} {
		for _, e := range start.Plan.Entries {
			has = append(has, reflect.TypeOf(e.Step).Name())
		}
		for _, s := range start.Plan.Cleanup {
			has = append(has, reflect.TypeOf(s).Name())
		}
	}
	for _, name := range stepTypes(t) {
		if !slices.Contains(has, name) {
			t.Errorf("no fixture has a %s", name)
		}
	}
}

func TestSecretsAreShownOnlyWhenAsked(t *testing.T) {
	for _, form := range forms {
		for _, shown := range []bool{false, true} {
			var b strings.Builder
			if err := form.write(&b, full(hostile), shown); err != nil {
				t.Fatal(err)
			}
			for _, secret := range []string{"hunter2", "hunter4"} {
				if strings.Contains(b.String(), secret) != shown {
					t.Errorf("%s with secrets %v: %s is shown: %v", form.name, shown, secret, !shown)
				}
			}
			for _, name := range []string{"TOKEN", "EMPTY"} {
				if !strings.Contains(b.String(), name) {
					t.Errorf("%s with secrets %v: no name %s", form.name, shown, name)
				}
			}
		}
	}
}

// No control character of a name reaches the terminal of who reads the plan.
func TestTextIsOneLineForEachStep(t *testing.T) {
	var b strings.Builder
	start := full(hostile)
	if err := explain.Text(&b, start, true); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if want := len(start.Plan.Entries) + len(start.Plan.Cleanup); len(lines) != want {
		t.Errorf("%d lines for %d steps", len(lines), want)
	}
	if i := strings.IndexFunc(b.String(), func(r rune) bool { return r < ' ' && r != '\n' || r == 0x7f }); i >= 0 {
		t.Errorf("%q is in it", b.String()[i])
	}
}

func TestLongWordsAreCut(t *testing.T) {
	long := plan.Exec{Argv: []string{"sh", "-c", strings.Repeat("ä", 4000)}, Env: []string{"A=1"}}
	got := explain.Words(long, false)
	if len(got) > 300 || !strings.HasSuffix(got, "… (7773 bytes more) with A") {
		t.Errorf("%d bytes: %s", len(got), got)
	}
}

// decoded is what a program reads from the JSON form.
type decoded struct {
	Plan, Cleanup []struct {
		Index             int
		Actor, Kind, Text string
		Step              map[string]any
	}
	Notes []string
}

func TestJSONNumbersAreThoseOfTheRun(t *testing.T) {
	trial.NeedUser(t)
	tree := trial.Tree(t, "busybox")
	var d decoded
	out := trial.Run(t, "--quiet", "--explain=json", tree, "true").OK(t)
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	verbose := trial.Run(t, "--quiet", "-V", tree, "true")
	verbose.OK(t)
	for i, e := range d.Plan {
		if e.Index != i+1 {
			t.Fatalf("entry %d has the number %d", i, e.Index)
		}
		if want := "rl-run: step " + strconv.Itoa(e.Index) + " " + e.Actor + ": " + e.Text + "\n"; !strings.Contains(verbose.Stderr, want) {
			t.Errorf("-V does not say %q:\n%s", want, verbose.Stderr)
		}
	}
	if n := strings.Count(verbose.Stderr, "rl-run: step "); n != len(d.Plan) {
		t.Errorf("-V has %d steps, the plan %d", n, len(d.Plan))
	}

	// An error has the number too.
	other := trial.NewTree(t)
	for _, dir := range []string{"dev", "proc"} {
		if err := os.Remove(filepath.Join(other, dir)); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("/tmp", filepath.Join(other, dir)); err != nil {
			t.Fatal(err)
		}
	}
	d = decoded{}
	if err := json.Unmarshal([]byte(trial.Run(t, "--quiet", "--explain=json", other, "true").OK(t)), &d); err != nil {
		t.Fatal(err)
	}
	for _, e := range d.Plan {
		if e.Kind == string(plan.KindMount) && e.Step["Target"] == "/proc" {
			trial.Run(t, "--quiet", other, "true").Fails(t, 125, "(step "+strconv.Itoa(e.Index)+")")
			return
		}
	}
	t.Error("the plan mounts no proc")
}

func TestJSONHoldsTheFilter(t *testing.T) {
	var b bytes.Buffer
	if err := explain.JSON(&b, full(hostile), false); err != nil {
		t.Fatal(err)
	}
	var d decoded
	if err := json.Unmarshal(b.Bytes(), &d); err != nil {
		t.Fatal(err)
	}
	for _, e := range d.Plan {
		if e.Kind == string(plan.KindSeccomp) {
			if e.Step["Instructions"] != 3.0 || e.Step["Filter"] != "IAAAAAQAAAAVAAECPgAAwAYAAAAAAP9/" {
				t.Errorf("got %v", e.Step)
			}
			return
		}
	}
	t.Error("no filter")
}
