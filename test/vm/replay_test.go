package vm

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"
)

// A result is what one test of the guest came to, with what it wrote.
type result struct {
	name    string // "" for the whole program
	verdict string // pass, fail or skip; "" when the program ended before the test did
	output  strings.Builder
}

// A reader makes results of a test program's output.
type reader struct {
	io.WriteCloser // takes the output

	convert *exec.Cmd
	done    chan struct{}
	results []*result // in the order in which the tests began
	err     error
}

// newReader starts test2json, which knows the marks in the output (-test.v=test2json).
func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{convert: exec.CommandContext(t.Context(), "go", "tool", "test2json"), done: make(chan struct{})}
	in, err := r.convert.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.WriteCloser = in
	events, err := r.convert.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.convert.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(r.done)
		r.results, r.err = gather(events)
		_, _ = io.Copy(io.Discard, events) // the writer must not wait for a reader that has gone
	}()
	return r
}

// end returns the results when all output is there.
func (r *reader) end() ([]*result, error) {
	err := r.Close()
	<-r.done
	return r.results, errors.Join(err, r.err, r.convert.Wait())
}

// gather reads the events of one test program.
func gather(events io.Reader) ([]*result, error) {
	whole := &result{}
	order, byName := []*result{whole}, map[string]*result{"": whole}
	for dec := json.NewDecoder(events); ; {
		var e struct{ Action, Test, Output string }
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return order, nil
		} else if err != nil {
			return order, err
		}
		r := byName[e.Test]
		if r == nil {
			r = &result{name: e.Test}
			byName[e.Test] = r
			order = append(order, r)
		}
		switch e.Action {
		case "output":
			if !strings.HasPrefix(e.Output, "=== ") {
				r.output.WriteString(e.Output)
			}
		case "pass", "fail", "skip":
			r.verdict = e.Action
		}
	}
}

// outcomes returns the results that are tests of their own: leaves, and tests that failed
// without any sub-test that did.
func outcomes(all []*result) []*result {
	parents, broken := map[string]bool{}, map[string]bool{}
	for _, r := range all {
		for name := r.name; strings.Contains(name, "/"); {
			name = name[:strings.LastIndexByte(name, '/')]
			parents[name] = true
			broken[name] = broken[name] || r.verdict == "fail" || r.verdict == ""
		}
	}
	var own []*result
	for _, r := range all {
		if r.name != "" && (!parents[r.name] || r.verdict == "fail" && !broken[r.name]) {
			own = append(own, r)
		}
	}
	return own
}

// replay makes a sub-test of each outcome of a job. The trouble is what else went wrong.
func replay(t *testing.T, all []*result, trouble string) {
	failed := false
	for _, r := range outcomes(all) {
		// A slash would make a sub-test of a name that has none above it.
		t.Run(strings.ReplaceAll(r.name, "/", ":"), func(t *testing.T) {
			_, _ = io.WriteString(t.Output(), r.output.String())
			switch r.verdict {
			case "pass":
			case "skip":
				t.SkipNow()
			case "fail":
				failed = true
				t.FailNow()
			default:
				failed = true
				t.Fatal("the test program ended before the test")
			}
		})
	}
	// The program itself fails with its tests, and that is no failure more.
	if !failed && trouble != "" || strings.Contains(trouble, "\n") {
		t.Errorf("%s\n%s", trouble, all[0].output.String())
	}
	if len(all) == 1 {
		t.Errorf("no test was run\n%s", all[0].output.String())
	}
}
