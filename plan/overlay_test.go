package plan

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// Layers on disk lie where a container may have been before. Neither their directories nor what the kernel makes of their names is to
// follow a link from there.
func TestOverlayOnDisk(t *testing.T) {
	leak.Watch(t)
	path, dev, ino := tree(t)
	disk, outside := t.TempDir(), t.TempDir()
	t.Cleanup(func() { _ = os.Chmod(disk+"/work/work", 0o700) }) // an overlay leaves it without permissions
	for _, dir := range []string{disk + "/upper", disk + "/work", disk + "/real", outside + "/upper", outside + "/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{"link": outside + "/upper", "near": "real", "worklink": outside + "/work", "all": outside} {
		if err := os.Symlink(target, disk+"/"+name); err != nil {
			t.Fatal(err)
		}
	}
	steps := []Step{Stage{}, AttachTree{Path: disk, Name: "disk"}, AttachTree{Path: path, Dev: dev, Ino: ino, Name: "lower"}}
	overlay := func(upper, work string) []Step {
		return append(steps[:3:3], Overlay{Lower: []string{"lower"}, Upper: "disk/" + upper, Work: "disk/" + work, OnDisk: true})
	}
	for _, layers := range [][2]string{{"link", "work"}, {"near", "work"}, {"upper", "worklink"}, {"all/upper", "all/work"}} {
		failing(t, unix.ELOOP, overlay(layers[0], layers[1])...)
	}
	failing(t, unix.ENOTDIR, append(steps[:3:3], Overlay{Lower: []string{"lower"}, Upper: "lower/file", Work: "disk/work", OnDisk: true})...)

	_, m := pivoted(t, append(overlay("upper", "work"), OpenRoot{}, MakeDir{"/new", 0o755})...)
	options(t, m["/"], "overlay", "rw", "userxattr", "lowerdir=lower")
	if _, err := os.Stat(disk + "/upper/new"); err != nil {
		t.Errorf("the write did not go to the layer: %v", err)
	}
}
