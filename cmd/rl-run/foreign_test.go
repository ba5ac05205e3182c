package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestForeigners looks at the table of others' options: none is rl-run's own, none stands twice, and each hint names
// options that there are.
func TestForeigners(t *testing.T) {
	own := map[string]bool{}
	for o := range allOptions {
		own[o.name] = true
		own[o.short] = true
	}
	seen := map[string]bool{}
	for _, f := range foreigners {
		for name := range strings.FieldsSeq(f.names) {
			if own[name] {
				t.Errorf("%s is rl-run's own", name)
			}
			if seen[name] {
				t.Errorf("%s stands twice", name)
			}
			seen[name] = true
		}
		for _, m := range regexp.MustCompile(`(?:^|\s)--([a-z-]+)`).FindAllStringSubmatch(f.hint, -1) {
			if !own[m[1]] {
				t.Errorf("the hint for %s names --%s, which rl-run has not", f.names, m[1])
			}
		}
	}
	if foreignHint("no-such") != "" || foreignHint("") != "" || foreignHint("bind dev-bind") != "" {
		t.Error("there is a hint for what nobody has")
	}
}
