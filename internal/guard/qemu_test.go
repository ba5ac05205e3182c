//go:build linux && (amd64 || arm64)

package guard

import (
	"testing"

	"github.com/rl-run/rl-run/internal/static/statictest"
)

// TestOtherArchitecture runs the image of the other architecture under qemu-user.
func TestOtherArchitecture(t *testing.T) {
	qemu, image := statictest.Emulated(t, "guard")
	o := setup{qemu: qemu, image: image}
	t.Run("container", func(t *testing.T) { endsWithContainer(t, o) })
	t.Run("once", func(t *testing.T) { once(t, o) })
	t.Run("given", func(t *testing.T) { isGiven(t, o) })
	t.Run("child", func(t *testing.T) { childGets(t, o) })
	t.Run("follows", func(t *testing.T) {
		t.Parallel()
		follows(t, o)
	})
	t.Run("starts again", func(t *testing.T) {
		t.Parallel()
		startsAgain(t, o)
	})
}
