package copytree

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// bush is how many entries foreign makes below other for their number alone.
const bush = 4 + 4 + 20 + 20 + 100 + 100

// foreign makes a tree with owners inside and outside of small id maps.
func foreign(t *testing.T, root string) {
	t.Helper()
	must(t, os.Chmod(root, 0o755))
	must(t, os.Chmod(filepath.Dir(root), 0o755))
	// Enough directories that some are opened again and again.
	for i := range 100 {
		dir := fmt.Sprintf("%s/other/%d/a/%d/b/%d", root, i%4, i%20, i)
		must(t, os.MkdirAll(dir, 0o755))
		must(t, os.Symlink("x", dir+"/link"))
	}
	for name, id := range map[string]int{"root": 0, "one": 1, "nobody": 65534, "other": 1000} {
		writeFile(t, filepath.Join(root, name, "file"), "x")
		must(t, os.Symlink("file", filepath.Join(root, name, "link")))
		must(t, unix.Mkfifo(filepath.Join(root, name, "fifo"), 0o644))
		must(t, filepath.WalkDir(filepath.Join(root, name), func(path string, _ os.DirEntry, err error) error {
			must(t, err)
			return os.Lchown(path, id, id)
		}))
	}
	// The owner is known, the group is not.
	writeFile(t, root+"/root/shared", "x")
	must(t, os.Chown(root+"/root/shared", 0, 1000))
	must(t, unix.Chmod(writeFile(t, root+"/other/su", "x"), 0o4755))
	must(t, os.Chown(root+"/other/su", 1000, 1000))
	must(t, unix.Chmod(root+"/other/su", 0o4755))
}

// owners returns who owns what in the copy.
func owners(t *testing.T, root string) map[string][2]uint32 {
	t.Helper()
	all := map[string][2]uint32{}
	for rel := range snapshot(t, root) {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(root, rel), &st))
		all[rel] = [2]uint32{st.Uid, st.Gid}
	}
	return all
}

func TestOwnersOutsideTheMap(t *testing.T) {
	for name, c := range map[string]struct {
		ids      []extent
		remapped int64
		want     map[string][2]uint32 // by directory; all others are 0:0
		shared   [2]uint32
	}{
		"single id": {
			ids:      []extent{{0, 0, 1}},
			remapped: 14 + bush,
		},
		"two ids": {
			ids:      []extent{{0, 0, 1}, {1, 1, 1}},
			remapped: 10 + bush,
			want:     map[string][2]uint32{"one": {1, 1}},
		},
		// The overflow id is in the map, so it alone does not say that an owner
		// is outside.
		"with nobody": {
			ids: []extent{
				{0, 0, 1},
				{1, 1, 1},
				{65534, 65534, 1},
			},
			remapped: 5 + bush,
			want:     map[string][2]uint32{"one": {1, 1}, "nobody": {65534, 65534}},
			// Of a group alone nothing tells whether it is in the map.
			shared: [2]uint32{0, 65534},
		},
	} {
		t.Run(name, func(t *testing.T) {
			needNamespaces(t)
			src := os.Getenv(nestedSrc)
			if src == "" {
				src = t.TempDir()
				foreign(t, src)
			}
			if !nested(t, c.ids, src) {
				return
			}
			dst, st := mustCopy(t, src)
			if st.Remapped != c.remapped {
				t.Errorf("Remapped = %d, want %d", st.Remapped, c.remapped)
			}
			for rel, got := range owners(t, dst) {
				want := c.want[strings.Split(rel, "/")[0]]
				if rel == "root/shared" {
					want = c.shared
				}
				if got != want {
					t.Errorf("%s belongs to %v, want %v", rel, got, want)
				}
			}
			if fi, err := os.Stat(dst + "/other/su"); err != nil || fi.Mode() != 0o755|os.ModeSetuid {
				t.Errorf("other/su: %v, %v", fi.Mode(), err)
			}
		})
	}
}

func TestUnreadable(t *testing.T) {
	needNamespaces(t)
	src := os.Getenv(nestedSrc)
	if src == "" {
		src = t.TempDir()
		foreign(t, src)
		must(t, os.Chmod(src+"/other/su", 0o600))
		writeFile(t, src+"/closed/in", "x")
		must(t, os.Chown(src+"/closed", 1000, 1000))
		must(t, os.Chmod(src+"/closed", 0o700))
		// Its names may be read, nothing else.
		writeFile(t, src+"/listed/in", "x")
		must(t, os.Chown(src+"/listed", 1000, 1000))
		must(t, os.Chmod(src+"/listed", 0o744))
		setTimes(t, src)
	}
	if !nested(t, []extent{{0, 0, 1}}, src) {
		return
	}
	dst := tmpfs(t, "")
	st, err := copyDir(t, src, dst, Options{})
	unreadable, ok := errors.AsType[*Unreadable](err)
	if !ok || unreadable.Count != 3 || unreadable.Path != "closed" {
		t.Fatalf("err = %v, want *Unreadable with 3, closed first", err)
	}
	if st.Unreadable != (Tally{3, "closed"}) {
		t.Errorf("Stats.Unreadable = %+v", st.Unreadable)
	}
	got := snapshot(t, dst)
	for _, rel := range []string{"closed/in", "listed/in", "other/su"} {
		if _, ok := got[rel]; ok {
			t.Errorf("%s was copied", rel)
		}
	}
	for rel, mode := range map[string]string{"closed": "mode 040700", "listed": "mode 040744", "other/file": "mode 100644"} {
		if !strings.HasPrefix(got[rel], mode+" owner 0:0") {
			t.Errorf("%s is %q, want %s", rel, got[rel], mode)
		}
		var a, b unix.Stat_t
		must(t, unix.Stat(filepath.Join(src, rel), &a))
		must(t, unix.Stat(filepath.Join(dst, rel), &b))
		if a.Mtim != b.Mtim {
			t.Errorf("%s: mtime %v, want %v", rel, b.Mtim, a.Mtim)
		}
	}
}

// The group and the mode of a tmpfs do not pass to what is made in it.
func TestDestinationWithGroup(t *testing.T) {
	src, dst := t.TempDir(), tmpfs(t, "mode=2777,gid=5")
	writeFile(t, src+"/d/file", "x")
	want := snapshot(t, src)
	old := unix.Umask(0o77)
	_, err := copyDir(t, src, dst, Options{})
	if back := unix.Umask(old); back != 0o77 {
		t.Errorf("umask is %#o afterwards", back)
	}
	must(t, err)
	compare(t, snapshot(t, dst), want)
}
