package arch

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// namedTest is a test that a line of SECURITY.md speaks of; its directory stands behind it, or behind the next ones.
	namedTest  = regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9]+)`")
	afterTests = regexp.MustCompile("^(?:, `(?:Test|Fuzz)[A-Za-z0-9]+`)* ([a-z0-9/-]+)")
	testFunc   = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Za-z0-9_]+)\(`)
	fuzzFunc   = regexp.MustCompile(`(?m)^func (Fuzz[A-Za-z0-9_]+)\(`)
)

// What SECURITY.md claims is held by tests that there are, where it says.
func TestSecurityNamesTests(t *testing.T) {
	var text string
	tests := map[string]bool{} // directory and name
	for _, f := range sources(t) {
		if f.path == "SECURITY.md" {
			text = string(f.text)
		}
		if f.isTest() {
			for _, m := range testFunc.FindAllSubmatch(f.text, -1) {
				tests[path.Dir(f.path)+" "+string(m[1])] = true
			}
		}
	}
	checked := 0
	for line := range strings.Lines(text) {
		for _, at := range namedTest.FindAllStringSubmatchIndex(line, -1) {
			name := line[at[2]:at[3]]
			dir := afterTests.FindStringSubmatch(line[at[1]:])
			if dir == nil {
				t.Errorf("no directory behind %s in: %s", name, line)
				continue
			}
			if !tests[dir[1]+" "+name] {
				t.Errorf("SECURITY.md names %s of %s, which is not there", name, dir[1])
			}
			checked++
		}
	}
	if checked < 60 {
		t.Errorf("only %d names were found in SECURITY.md", checked)
	}
}

// Each fuzz target has a corpus that is committed, as what it found once is not to be found again by chance.
func TestFuzzTargetsHaveCorpora(t *testing.T) {
	files := sources(t)
	targets := 0
	for _, f := range files {
		if !f.isTest() || bytes.Contains(f.text, []byte("package fuzzed")) {
			continue
		}
		for _, m := range fuzzFunc.FindAllSubmatch(f.text, -1) {
			targets++
			corpus := path.Dir(f.path) + "/testdata/fuzz/" + string(m[1]) + "/"
			if !slices.ContainsFunc(files, func(f source) bool { return strings.HasPrefix(f.path, corpus) }) {
				t.Errorf("%s: %s has nothing in %s", f.path, m[1], corpus)
			}
		}
	}
	if targets < 30 {
		t.Errorf("only %d fuzz targets were found", targets)
	}
}
