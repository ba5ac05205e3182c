package main

import (
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestEndOrphans(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0); err != nil {
			t.Error(err)
		}
	}()
	for _, c := range []struct {
		name, script string
		want         []string
	}{
		{"none", "exit 0", nil},
		{"one that ends in time", "sleep 0.2 &", nil},
		{"one that stays", "sleep 61 &", []string{"sleep 61"}},
		{"a session of its own", "setsid sleep 62 &", []string{"sleep 62"}},
		{"a family", "sh -c 'sleep 63 & sleep 64; :' &", []string{"sh -c", "sleep 63", "sleep 64"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			// Without a pipe: a wait for the output would be a wait for the orphans.
			if err := exec.Command("sh", "-c", c.script).Run(); err != nil {
				t.Fatal(err)
			}
			left := endOrphans(0, 500*time.Millisecond)
			if len(left) != len(c.want) {
				t.Errorf("left behind: %q, want %q", left, c.want)
			}
			for _, want := range c.want {
				if !strings.Contains(strings.Join(left, "\n"), want) {
					t.Errorf("left behind: %q, want %q among it", left, want)
				}
			}
			if still := children(0); len(still) > 0 {
				t.Errorf("children after the end: %v", still)
			}
		})
	}
}
