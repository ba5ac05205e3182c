package copytree

import (
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// snapshot describes every entry below root by its path, with all that a copy
// keeps. It shares no code with the package: it goes by paths, lstat and the
// l… forms of the calls for attributes. Nothing it does moves a time.
func snapshot(t testing.TB, root string) map[string]string {
	t.Helper()
	all := map[string]string{}
	names := map[[2]uint64][]string{} // by inode, where there are several
	var visit func(rel string)
	visit = func(rel string) {
		path := filepath.Join(root, rel)
		var st unix.Stat_t
		must(t, unix.Lstat(path, &st))
		s := fmt.Sprintf("mode %06o owner %d:%d atime %d.%09d mtime %d.%09d",
			st.Mode, st.Uid, st.Gid, st.Atim.Sec, st.Atim.Nsec, st.Mtim.Sec, st.Mtim.Nsec)
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFREG:
			s += fmt.Sprintf(" size %d sum %x", st.Size, contents(t, path))
		case unix.S_IFLNK:
			target, err := os.Readlink(path)
			must(t, err)
			// Reading a link moves its access time, and there is no way around it.
			must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{st.Atim, st.Mtim}, unix.AT_SYMLINK_NOFOLLOW))
			s += fmt.Sprintf(" to %q", target)
		case unix.S_IFCHR, unix.S_IFBLK:
			s += fmt.Sprintf(" device %#x", st.Rdev)
		}
		if st.Mode&unix.S_IFMT != unix.S_IFDIR && st.Nlink > 1 {
			id := [2]uint64{st.Dev, st.Ino}
			names[id] = append(names[id], rel)
		}
		all[rel] = s + attributesOf(t, path)
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			for _, name := range list(t, path) {
				visit(filepath.Join(rel, name))
			}
		}
	}
	visit(".")
	for _, group := range names {
		slices.Sort(group)
		for _, rel := range group {
			all[rel] += fmt.Sprintf(" linked %q", group)
		}
	}
	return all
}

// withoutLinkAtimes leaves out the access times of symbolic links.
func withoutLinkAtimes(all map[string]string) map[string]string {
	atime := regexp.MustCompile(`^(mode 12.*) atime \S+`)
	out := map[string]string{}
	for rel, s := range all {
		out[rel] = atime.ReplaceAllString(s, "$1")
	}
	return out
}

func open(t testing.TB, path string) *os.File {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOATIME|unix.O_NOFOLLOW, 0)
	must(t, err)
	return f
}

func list(t testing.TB, path string) []string {
	t.Helper()
	f := open(t, path)
	defer f.Close()
	names, err := f.Readdirnames(-1)
	must(t, err)
	return names
}

// contents returns a hash, but for huge files, which have holes: these are
// compared by their extents elsewhere.
func contents(t testing.TB, path string) []byte {
	t.Helper()
	f := open(t, path)
	defer f.Close()
	h := sha256.New()
	_, err := io.Copy(h, io.LimitReader(f, 64<<20))
	must(t, err)
	return h.Sum(nil)[:8]
}

func attributesOf(t testing.TB, path string) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, buf)
	must(t, err)
	var s []string
	for attr := range strings.SplitSeq(string(buf[:n]), "\x00") {
		if attr == "" || attr == "security.selinux" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, attr, value)
		must(t, err)
		s = append(s, fmt.Sprintf(" %s=%q", attr, value[:n]))
	}
	slices.Sort(s)
	return strings.Join(s, "")
}

// compare reports every difference between two snapshots.
func compare(t testing.TB, got, want map[string]string) {
	t.Helper()
	for _, rel := range slices.Sorted(maps.Keys(want)) {
		switch g, ok := got[rel]; {
		case !ok:
			t.Errorf("%q is missing, want %s", rel, want[rel])
		case g != want[rel]:
			t.Errorf("%q differs\n got %s\nwant %s", rel, g, want[rel])
		}
	}
	for _, rel := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[rel]; !ok {
			t.Errorf("%q should not be there: %s", rel, got[rel])
		}
	}
}
