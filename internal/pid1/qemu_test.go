//go:build linux && (amd64 || arm64)

package pid1

import (
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/static/statictest"
)

// TestOtherArchitecture runs the image of the other architecture under qemu-user. That is a child of the test, not
// process 1; the emulator keeps the signals 32, 33 and 64 for itself, so that a parent's death cannot be told there.
func TestOtherArchitecture(t *testing.T) {
	qemu, image := statictest.Emulated(t, "pid1")
	o := initOptions{qemu: qemu, image: image}
	t.Run("exit status", func(t *testing.T) {
		for script, want := range map[string]int{
			"exit 0": 0, "exit 7": 7, "exit 255": 255, "kill -9 $$": 137, "kill -15 $$": 143, "sleep 0.3; exit 8": 8,
		} {
			if got := exitCode(t, start(t, o, "sh", "-c", script)); got != want {
				t.Errorf("%s: exit status %d, want %d", script, got, want)
			}
		}
		late := o
		late.delay = 100 * time.Millisecond
		if got := exitCode(t, start(t, late, "sh", "-c", "exit 9")); got != 9 {
			t.Errorf("command that ended before: exit status %d, want 9", got)
		}
		for _, bad := range []initOptions{{noPid: true}, {wrong: 1 << 30}} {
			bad.qemu, bad.image = o.qemu, o.image
			if got := exitCode(t, start(t, bad, "sh", "-c", "exit 0")); got != Failure {
				t.Errorf("bad start: exit status %d, want %d", got, Failure)
			}
		}
	})
	t.Run("signals", func(t *testing.T) { forwardsSignals(t, o, 63) })
	t.Run("tree", func(t *testing.T) {
		tree := o
		tree.parent = "detached"
		if got := exitCode(t, startTree(t, tree, "sh", "-c", family+"exit 7")); got != 7 {
			t.Errorf("exit status %d, want 7", got)
		}
		tree.parent = "1" // not the parent: it counts as dead
		if got := exitCode(t, startTree(t, tree, "sh", "-c", family+"exec sleep 1000")); got != 137 {
			t.Errorf("exit status %d, want 137", got)
		}
	})
}
