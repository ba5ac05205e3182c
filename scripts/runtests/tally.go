package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Count is the outcome of some tests. Only leaves of the tree of tests and
// sub-tests count.
type Count struct{ Passed, Failed, Skipped int }

func (c Count) plus(d Count) Count {
	return Count{c.Passed + d.Passed, c.Failed + d.Failed, c.Skipped + d.Skipped}
}

// String returns the line that ends a run.
func (c Count) String() string {
	return fmt.Sprintf("%d passed, %d failed, %d skipped", c.Passed, c.Failed, c.Skipped)
}

// event is one line of test2json, see go doc test2json.
type event struct {
	Action string
	Test   string
	Output string
	Key    string // of an attribute, see testing.T.Attr
}

// Report is what one package's tests did.
type Report struct {
	Count
	problems strings.Builder // output of what failed, was skipped or is to be looked at
}

// fail adds one failure that is not a test's own.
func (r *Report) fail(format string, args ...any) {
	r.Failed++
	fmt.Fprintf(&r.problems, format+"\n", args...)
}

// print writes the line of one package, and below it the output of its tests
// that failed, were skipped, or passed with something to be looked at.
func (r *Report) print(w io.Writer, name string, took time.Duration) {
	verdict := "ok  "
	if r.Failed > 0 {
		verdict = "FAIL"
	}
	fmt.Fprintf(w, "%s %-28s %6.1f s  %v\n", verdict, name, took.Seconds(), r.Count)
	for line := range strings.Lines(r.problems.String()) {
		fmt.Fprintf(w, "     %s\n", strings.TrimSuffix(line, "\n"))
	}
}

// tests gathers the events of one package.
type tests struct {
	order   []string // names as they began, "" for the package itself
	results map[string]string
	output  map[string]*strings.Builder
	parents map[string]bool // names that have sub-tests
	broken  map[string]bool // names below which a test failed or did not end
	shown   map[string]bool // names of tests with the attribute Show
}

// Show is the key of the attribute of a test whose output is to be looked at although it passes.
const Show = "show"

// tally reads the events of one package up to the end of the stream.
func tally(stream io.Reader) (*Report, error) {
	t := tests{
		results: map[string]string{},
		output:  map[string]*strings.Builder{},
		parents: map[string]bool{},
		broken:  map[string]bool{},
		shown:   map[string]bool{},
	}
	t.begin("")
	events := json.NewDecoder(stream)
	for {
		var e event
		if err := events.Decode(&e); errors.Is(err, io.EOF) {
			return t.report(), nil
		} else if err != nil {
			// The tests must not wait for a reader that has gone.
			_, _ = io.Copy(io.Discard, stream)
			return t.report(), fmt.Errorf("read test events: %w", err)
		}
		t.begin(e.Test)
		switch e.Action {
		case "output":
			// The stream's own marks say nothing that the counts do not.
			if !strings.HasPrefix(e.Output, "=== ") && e.Output != "FAIL\n" && e.Output != "PASS\n" {
				t.output[e.Test].WriteString(e.Output)
			}
		case "attr":
			t.shown[e.Test] = t.shown[e.Test] || e.Key == Show
		case "pass", "fail", "skip":
			t.results[e.Test] = e.Action
		}
	}
}

func (t *tests) begin(name string) {
	if _, ok := t.results[name]; !ok {
		t.results[name] = ""
		t.output[name] = &strings.Builder{}
		t.order = append(t.order, name)
		mark(t.parents, name)
	}
}

// mark calls set with the name of each test that the named one is a sub-test of.
func mark(set map[string]bool, name string) {
	for i := strings.LastIndexByte(name, '/'); i > 0; i = strings.LastIndexByte(name, '/') {
		name = name[:i]
		set[name] = true
	}
}

func (t *tests) report() *Report {
	for _, name := range t.order {
		if result := t.results[name]; result != "pass" && result != "skip" {
			mark(t.broken, name)
		}
	}
	r := &Report{}
	for _, name := range t.order {
		if name == "" {
			continue
		}
		switch leaf := !t.parents[name]; t.results[name] {
		case "pass":
			if leaf {
				r.Passed++
			}
			if !t.shown[name] {
				continue
			}
		case "skip":
			if leaf {
				r.Skipped++
			}
		case "fail":
			// A parent fails with its sub-tests, and is no failure more unless it is the only one.
			if !t.broken[name] {
				r.Failed++
			}
		default:
			// The package ended before this test did: a panic, os.Exit or the time limit.
			if leaf {
				r.Failed++
			}
		}
		r.problems.WriteString(t.output[name].String())
	}
	switch {
	case t.results[""] == "fail" && r.Failed == 0:
		r.fail("%s", strings.TrimSuffix("the package failed\n"+t.output[""].String(), "\n"))
	case r.Failed > 0:
		// A panic's trace is often not any test's own output.
		r.problems.WriteString(t.output[""].String())
	}
	return r
}
