package launch

import (
	"strings"
	"testing"
)

// What is a fallback is an error with --strict that names it, on each machine; and what is none is no error.
func TestStrict(t *testing.T) {
	for _, g := range goldens {
		s, h := g.inputs()
		loose, err := Compile(s, h, nil)
		if err != nil {
			t.Fatal(err)
		}
		strict := *s
		strict.Strict = true
		_, err = Compile(&strict, h, nil)
		given := func(note string) bool { // up by an option, or by what it is about
			return strings.HasPrefix(note, "--nest: ") || strings.HasPrefix(note, "--fake-root: ") || strings.HasPrefix(note, "this is a chroot: ") ||
				strings.HasPrefix(note, "rl-run needs no root") || strings.Contains(note, "stay there after a detached")
		}
		fallen := 0
		for _, n := range loose.Notes {
			if given(n) || s.BestEffort {
				continue
			}
			fallen++
			if err == nil || !strings.Contains(err.Error(), n) {
				t.Errorf("%s: %q, and with --strict: %v", g.name, n, err)
			}
		}
		if fallen == 0 && !s.BestEffort && err != nil {
			t.Errorf("%s: nothing is less than asked for, and with --strict: %v", g.name, err)
		}
	}
}
