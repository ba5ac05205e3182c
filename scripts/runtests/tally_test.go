package main

import (
	"strings"
	"testing"
	"time"
)

// lines makes a stream of events of "action name output" lines.
func lines(events ...string) *strings.Reader {
	var b strings.Builder
	for _, e := range events {
		action, rest, _ := strings.Cut(e, " ")
		name, output, _ := strings.Cut(rest, " ")
		b.WriteString(`{"Action":"` + action + `","Test":"` + name + `","Output":"` + output + `"}` + "\n")
	}
	return strings.NewReader(b.String())
}

// A test that passes is silent, but for one that is to be looked at.
func TestTallyShows(t *testing.T) {
	text := `{"Action":"run","Test":"A"}{"Action":"output","Test":"A","Output":"silent\n"}{"Action":"pass","Test":"A"}` +
		`{"Action":"run","Test":"B"}{"Action":"attr","Test":"B","Key":"show","Value":"why"}{"Action":"output","Test":"B","Output":"heard\n"}{"Action":"pass","Test":"B"}`
	r, err := tally(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.problems.String(); got != "heard\n" || r.Passed != 2 || r.Failed != 0 {
		t.Errorf("shown is %q of %v", got, r.Count)
	}
}

func TestTallyCountsLeaves(t *testing.T) {
	for _, c := range []struct {
		name   string
		events []string
		want   Count
	}{
		{"one", []string{"run A", "pass A", "pass "}, Count{Passed: 1}},
		{"parent and two leaves", []string{"run A", "run A/x", "run A/y", "pass A/x", "pass A/y", "pass A"}, Count{Passed: 2}},
		{"failed leaf", []string{"run A", "run A/x", "run A/y", "pass A/x", "fail A/y", "fail A", "fail "}, Count{1, 1, 0}},
		{"parent that fails alone", []string{"run A", "run A/x", "pass A/x", "fail A", "fail "}, Count{1, 1, 0}},
		{"skips", []string{"run A", "skip A", "run B", "run B/x", "skip B/x", "pass B"}, Count{Skipped: 2}},
		{"a name that begins like another", []string{"run A", "run AB", "pass A", "pass AB"}, Count{Passed: 2}},
		{"slashes in a sub-test's name", []string{"run A", "run A/x/y", "pass A/x/y", "pass A"}, Count{Passed: 1}},
		{"end before the test's own", []string{"run A", "run A/x", "output A/x panic", "fail "}, Count{Failed: 1}},
		{"failed package without a failed test", []string{"run A", "pass A", "output  exit status 3", "fail "}, Count{1, 1, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, err := tally(lines(c.events...))
			if err != nil {
				t.Fatal(err)
			}
			if r.Count != c.want {
				t.Errorf("count is %v, want %v", r.Count, c.want)
			}
		})
	}
}

func TestReportShowsWhatDidNotPass(t *testing.T) {
	r, err := tally(lines(
		"run Good", "output Good quiet\\n", "pass Good",
		"run Bad", "output Bad === RUN\\n", "output Bad wrong: 1\\n", "fail Bad",
		"run Not", "output Not no tun here\\n", "skip Not", "fail "))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r.print(&b, "net", 1500*time.Millisecond)
	want := "FAIL net                             1.5 s  1 passed, 1 failed, 1 skipped\n" +
		"     wrong: 1\n     no tun here\n"
	if b.String() != want {
		t.Errorf("report is\n%swant\n%s", b.String(), want)
	}
}

func TestTallyReportsBrokenStream(t *testing.T) {
	if _, err := tally(strings.NewReader(`{"Action":"run","Test":"A"}` + "\nnonsense\n")); err == nil {
		t.Error("no error for a stream that is not of events")
	}
}
