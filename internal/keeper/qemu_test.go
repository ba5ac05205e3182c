//go:build linux && (amd64 || arm64)

package keeper

import (
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/static/statictest"
)

// TestOtherArchitecture runs the image of the other architecture under qemu-user.
func TestOtherArchitecture(t *testing.T) {
	qemu, image := statictest.Emulated(t, "keeper")
	with := func(o setup) setup {
		o.Qemu, o.Image = qemu, image
		return o
	}
	t.Run("exit status", func(t *testing.T) {
		for _, code := range []int{0, 7, 99, 100, 255} {
			checkExit(t, with(setup{Command: []string{"sh", "-c", "exit " + strconv.Itoa(code)}}), code)
		}
		for _, sig := range []int{9, 15} {
			checkExit(t, with(setup{Command: []string{"sh", "-c", "sleep 0.1; kill -" + strconv.Itoa(sig) + " $$"}}), 128+sig)
		}
		for _, o := range []setup{{NoPID: true}, {Wrong: 1 << 30}, {Wrong: 1<<32 + 2}} {
			o.Command = []string{"true"}
			if code, s := keep(t, with(o)).end(t); code != Failure || s.Ended {
				t.Errorf("bad start: exit status %d, %+v, want %d", code, s, Failure)
			}
		}
	})
	t.Run("group", func(t *testing.T) { checkGroups(t, with(setup{})) })
	t.Run("ring", func(t *testing.T) {
		for _, limit := range []int64{30, 4096, 10007, 100003} {
			for _, tty := range []bool{false, true} {
				lines := min(limit, 10000)
				k := keep(t, with(setup{Cap: limit, TTY: tty, Command: floodOf(lines)}))
				if code, s := k.end(t); code != 0 || s.Code != 7 || s.Dropped != 0 {
					t.Errorf("cap %d: keeper %d, %+v", limit, code, s)
				}
				checkTail(t, k, lines, int(limit))
			}
		}
	})
	t.Run("nothing kept", func(t *testing.T) {
		k := keep(t, with(setup{Command: floodOf(10000)}))
		if code, s := k.end(t); code != 0 || s.Code != 7 || s.Dropped != 0 {
			t.Errorf("keeper %d, %+v", code, s)
		}
	})
	t.Run("dropped", func(t *testing.T) {
		o := with(setup{Dir: t.TempDir(), Cap: 2000, Command: []string{"sh", "-c", "head -c 5000 /dev/zero"}})
		if err := unix.Mkdir(o.Dir+"/"+OldLog, 0o700); err != nil {
			t.Fatal(err)
		}
		if code, s := keep(t, o).end(t); code != 0 || s.Dropped != 4000 {
			t.Errorf("keeper %d, %+v", code, s)
		}
	})
}
