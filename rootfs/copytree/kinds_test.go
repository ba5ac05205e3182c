package copytree

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// acl returns a POSIX ACL as the attribute has it: version 2, then tag,
// permissions and id of each entry (include/uapi/linux/posix_acl_xattr.h).
func acl(user uint32) []byte {
	const none = 0xffffffff
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range [][3]uint32{
		{0x01, 7, none}, {0x02, 5, user}, {0x04, 4, none}, {0x10, 5, none}, {0x20, 4, none},
	} {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return b
}

// capability is cap_net_raw+ep as setcap writes it (linux/capability.h): the
// kernel adds the namespace's root.
var capability = []byte{1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// everyKind makes one of everything below root.
func everyKind(t testing.TB, root string) {
	t.Helper()
	at := func(rel string) string { return filepath.Join(root, rel) }
	for _, rel := range []string{"d", "d/empty", "d/sticky", "d/group", "d/locked/in", "link", "link/far", "odd"} {
		must(t, os.MkdirAll(at(rel), 0o755))
	}
	// Contents of sizes around pages and buffers.
	for _, n := range []int{0, 1, 4095, 4096, 4097, 65536, 131073, 9 << 20} {
		writeFile(t, at(fmt.Sprintf("d/file%d", n)), strings.Repeat("0123456789abcdef!", n/17+1)[:n])
	}
	for _, mode := range []uint32{0, 0o400, 0o777, 0o4755, 0o2755, 0o6511, 0o1644, 0o7777} {
		must(t, unix.Chmod(writeFile(t, at(fmt.Sprintf("d/mode%o", mode)), "x"), mode))
	}
	for i, own := range [][2]int{{0, 0}, {1000, 0}, {0, 1000}, {33, 1000}, {65534, 65534}, {65535, 65535}} {
		p := writeFile(t, at(fmt.Sprintf("d/owner%d", i)), "x")
		must(t, os.Chown(p, own[0], own[1]))
		must(t, unix.Chmod(p, 0o6755))
		p = at(fmt.Sprintf("d/ownerlink%d", i))
		must(t, os.Symlink("nowhere", p))
		must(t, os.Lchown(p, own[0], own[1]))
		p = at(fmt.Sprintf("d/owned%d", i))
		must(t, os.Mkdir(p, 0o700))
		must(t, os.Chown(p, own[0], own[1]))
		must(t, unix.Chmod(p, 0o3711))
	}
	// Links of files, symbolic links and FIFOs, near and far.
	must(t, os.Link(writeFile(t, at("link/a"), "linked"), at("link/b")))
	must(t, os.Link(at("link/a"), at("link/far/c")))
	must(t, os.Symlink("a", at("link/s1")))
	must(t, unix.Linkat(unix.AT_FDCWD, at("link/s1"), unix.AT_FDCWD, at("link/far/s2"), 0))
	must(t, unix.Mkfifo(at("link/p1"), 0o640))
	must(t, os.Link(at("link/p1"), at("link/p2")))
	must(t, os.Link(at("d/mode4755"), at("link/setuid")))
	// Symbolic links: dangling, absolute, long.
	for i, target := range []string{"..", "/etc/passwd", "a b\nc", strings.Repeat("x", 127), strings.Repeat("y", 128), strings.Repeat("z", 4095)} {
		must(t, os.Symlink(target, at(fmt.Sprintf("odd/link%d", i))))
	}
	// What is no file.
	must(t, unix.Mkfifo(at("odd/fifo"), 0o622))
	must(t, os.Chown(at("odd/fifo"), 5, 6))
	must(t, unix.Mknod(at("odd/socket"), unix.S_IFSOCK|0o755, 0))
	must(t, unix.Mknod(at("odd/whiteout"), unix.S_IFCHR, 0))
	// Names of any byte.
	for _, name := range []string{"\x01", "new\nline", "\xff\xfe", " ", "-rf", "*", strings.Repeat("n", 255), "ünï"} {
		writeFile(t, at("odd/"+name), name)
	}
	// Attributes.
	must(t, unix.Lsetxattr(at("d/file4097"), "user.note", []byte("hello"), 0))
	must(t, unix.Lsetxattr(at("d/file4097"), "user.empty", nil, 0))
	must(t, unix.Lsetxattr(at("d/file1"), "user.large", []byte(strings.Repeat("v", 3000)), 0))
	must(t, unix.Lsetxattr(at("d/empty"), "user.dir", []byte{0, 1, 2}, 0))
	must(t, unix.Lsetxattr(at("d/file4096"), "security.capability", capability, 0))
	must(t, unix.Lsetxattr(at("d/file4095"), "system.posix_acl_access", acl(1000), 0))
	must(t, unix.Lsetxattr(at("d/group"), "system.posix_acl_default", acl(33), 0))
	must(t, unix.Lsetxattr(at("odd/fifo"), "system.posix_acl_access", acl(7), 0))
	writeFile(t, at("d/group/heir"), "made below a default ACL")
	// Holes at the front, in the middle and at the end.
	for i, at2 := range [][]int64{{1 << 20}, {0, 1 << 20}, {0}, {}, {5000, 12287, 300_000}} {
		f, err := os.Create(at(fmt.Sprintf("d/sparse%d", i)))
		must(t, err)
		must(t, f.Truncate(1<<20+4321))
		for _, off := range at2 {
			_, err := f.WriteAt([]byte("data"), off)
			must(t, err)
		}
		must(t, f.Close())
	}
	must(t, unix.Chmod(at("d/sticky"), 0o1777))
	must(t, unix.Chmod(at("d/group"), 0o2770))
	must(t, unix.Chmod(at("d/locked"), 0))
	must(t, unix.Chmod(root, 0o2751))
	must(t, os.Chown(root, 7, 8))
	setTimes(t, root)
}

// setTimes gives every entry times of its own, before 1970 and after 2038 too.
// Deepest first: making them moved those of the directories.
func setTimes(t testing.TB, root string) {
	t.Helper()
	n := int64(0)
	var visit func(path string)
	visit = func(path string) {
		if fi, err := os.Lstat(path); err == nil && fi.IsDir() {
			for _, name := range list(t, path) {
				visit(filepath.Join(path, name))
			}
		}
		n++
		times := []unix.Timespec{{Sec: 1e9 + n, Nsec: 1 + n}, {Sec: 1e9 + 7*n, Nsec: 999_999_999 - n}}
		switch n {
		case 3:
			times[1].Sec = -5
		case 4:
			times[1].Sec = 1 << 32
		}
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW))
	}
	visit(root)
}

func TestEveryKind(t *testing.T) {
	needNamespaces(t)
	for name, src := range map[string]func() string{
		"from disk":  func() string { return filepath.Join(t.TempDir(), "tree") },
		"from tmpfs": func() string { return filepath.Join(tmpfs(t, ""), "tree") },
	} {
		t.Run(name, func(t *testing.T) {
			root := src()
			everyKind(t, root)
			before := snapshot(t, root)
			changed := ctimes(t, root)
			dst, st := mustCopy(t, root)
			if got := ctimes(t, root); got != changed {
				t.Error("the copy changed the source")
			}
			compare(t, snapshot(t, dst), before)
			compare(t, withoutLinkAtimes(snapshot(t, root)), withoutLinkAtimes(before))
			if n := st.Files + st.Dirs + st.Symlinks + st.Specials + st.Links; n != int64(len(before)) {
				t.Errorf("Stats %+v sum to %d entries, want %d", st, n, len(before))
			}
			if st.Links != 5 || st.Specials != 4 || st.Remapped != 0 || st.XattrsDropped != 0 ||
				st.Changed.N != 0 || st.Unreadable.N != 0 || st.Devices.N != 0 || st.Pseudo.N != 0 {
				t.Errorf("Stats = %+v", st)
			}
			for i := range 5 {
				name := fmt.Sprintf("d/sparse%d", i)
				if got, want := blocks(t, filepath.Join(dst, name)), blocks(t, filepath.Join(root, name)); got != want {
					t.Errorf("%s takes %d blocks, want %d", name, got, want)
				}
			}
			// The tree must be removable as a whole by those who own the ids.
			must(t, os.Chmod(filepath.Join(root, "d/locked"), 0o700))
		})
	}
}

// ctimes returns the sum of all change times, in microseconds.
func ctimes(t testing.TB, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	sum := st.Ctim.Nano() / 1000
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		for _, name := range list(t, path) {
			sum += ctimes(t, filepath.Join(path, name))
		}
	}
	return sum
}

func blocks(t testing.TB, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Blocks
}
