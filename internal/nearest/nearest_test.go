package nearest

import (
	"slices"
	"strings"
	"testing"
)

func TestWord(t *testing.T) {
	known := []string{"read-only", "rw", "hostname", "rm", "net", strings.Repeat("k", longest), strings.Repeat("k", longest+1)}
	for word, want := range map[string]string{
		"raed-only": "read-only", "reed-onli": "read-only", "hosstname": "hostname", "rmm": "rm", "ne": "net",
		"wr": "rw", "x": "", "": "", "xy": "", "reed-oonlix": "",
		strings.Repeat("k", longest-1): strings.Repeat("k", longest), strings.Repeat("k", longest+1): "",
	} {
		if got := Word(word, 2, slices.Values(known)); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
	if got := Word("reed-only", 0, slices.Values(known)); got != "" {
		t.Errorf("no edit allowed: got %q", got)
	}
	if got := Word("rn", 1, slices.Values([]string{"rx", "rm"})); got != "rx" {
		t.Errorf("of equal ones: got %q, want the first", got)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"", "abc", 3},
		{"abc", "", 3},
		{"root", "root", 0},
		{"root", "rooot", 1},
		{"root", "orot", 1},
		{"kitten", "sitting", 3},
		{strings.Repeat("a", longest), strings.Repeat("b", longest), longest},
	} {
		if got := distance(c.a, c.b); got != c.want {
			t.Errorf("%q to %q: %d; want %d", c.a, c.b, got, c.want)
		}
	}
}
