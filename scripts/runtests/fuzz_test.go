package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A target that fails only for what its corpus does not have is found, and one that does not fail counts.
func TestFuzz(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod": "module fuzzed\n\ngo 1.24\n",
		"a_test.go": `package fuzzed

import "testing"

func FuzzGood(f *testing.F) { f.Add(1); f.Fuzz(func(*testing.T, int) {}) }

func FuzzBad(f *testing.F) {
	f.Add(1)
	f.Fuzz(func(t *testing.T, n int) {
		if n != 1 {
			t.Error("found")
		}
	})
}
`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "fuzzed.test")
	build := exec.Command("go", "test", "-c", "-o", binary, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	p := pkg{Dir: dir, TestGoFiles: []string{"a_test.go"}}
	if names, err := p.targets(); err != nil || !slices.Equal(names, []string{"FuzzGood", "FuzzBad"}) {
		t.Errorf("%v %q", err, names)
	}
	var r Report
	if err := (&suite{dir: dir, limit: limits{each: time.Minute}}).fuzz(t.Context(), binary, p, &r); err != nil {
		t.Fatal(err)
	}
	if r.Passed != 1 || r.Failed != 1 || !strings.Contains(r.problems.String(), "FuzzBad: exit status 1") || !strings.Contains(r.problems.String(), "found") {
		t.Errorf("%+v: %s", r.Count, r.problems.String())
	}
}
