package plan

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// Who can write to ROOTFS exchanges, behind the mount of /proc, the directory under it for another one. What is masked is that
// /proc all the same, wherever it is then, and nothing in the other directory.
func TestMasksStayWithTheirMount(t *testing.T) {
	leak.Watch(t)
	var of unix.Stat_t
	if err := unix.Stat("/proc", &of); err != nil {
		t.Fatal(err)
	}
	hosts := Bind{Source: "/proc", Target: "/proc", Dev: of.Dev, Ino: of.Ino, Recursive: true, Attr: unix.MOUNT_ATTR_NOSUID, Strict: true}
	for name, proc := range map[string]Step{
		"own": Mount{Type: "proc", Target: "/proc", Strict: true}, "the host's": hosts,
	} {
		path, dev, ino := tree(t)
		for _, dir := range []string{"/decoy/sys", "/decoy/tty"} {
			if err := os.MkdirAll(path+dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path+"/decoy/version", nil, 0o644); err != nil {
			t.Fatal(err)
		}
		pl := begin(Stage{}, AttachTree{Path: path, Dev: dev, Ino: ino, Name: "root"}, OpenRoot{}, proc)
		exchange := len(pl.Entries)
		pl.Add(Parent, marker, "")
		masks := []Step{
			BindSelf{"/proc/sys", unix.MOUNT_ATTR_RDONLY},
			OpenNull{},
			Mask{"/proc/version", false},
			Mask{"/proc/fs/nowhere", false},
			Mask{"/proc/nowhere", false},
			Mask{"/proc/nowhere", true},
			Mask{"/proc/sys/kernel/hostname", false},
			Mask{"/proc/tty", true},
			PivotRoot{},
		}
		for _, s := range masks {
			pl.Add(Init, s, "")
		}
		end := len(pl.Entries)
		pl.Add(Parent, marker, "")
		pl.Add(Init, Exec{Paths: []string{"/nowhere"}, Argv: []string{"nowhere"}}, "")

		c := started(t, pl)
		if err := c.Await(exchange); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := unix.Renameat2(unix.AT_FDCWD, path+"/proc", unix.AT_FDCWD, path+"/decoy", unix.RENAME_EXCHANGE); err != nil {
			t.Fatal(err)
		}
		if err := c.Go(); err != nil {
			t.Fatal(err)
		}
		if err := c.Await(end); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		list, err := (&paused{Child: c}).mountinfo()
		if err != nil {
			t.Fatal(err)
		}
		mounted := make(map[string]string)
		for _, m := range list {
			mounted[m.Mountpoint] = m.FSType
		}
		for place, want := range map[string]string{"/decoy": "proc", "/decoy/sys": "proc", "/decoy/tty": "tmpfs"} {
			if mounted[place] != want {
				t.Errorf("%s: %q is mounted on %s, want %s", name, mounted[place], place, want)
			}
		}
		for _, place := range []string{"/decoy/version", "/decoy/sys/kernel/hostname"} {
			if mounted[place] == "" {
				t.Errorf("%s: %s is not masked", name, place)
			}
		}
		for _, place := range []string{"/proc", "/proc/sys", "/proc/version", "/proc/tty"} {
			if mounted[place] != "" {
				t.Errorf("%s: something is mounted on %s", name, place)
			}
		}
		_ = c.Go()
		ended(t, c)
	}
}
