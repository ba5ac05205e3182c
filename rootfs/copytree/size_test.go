package copytree

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// used returns the blocks and inodes taken in the filesystem at dir.
func used(t testing.TB, dir string) (blocks, inodes int64) {
	t.Helper()
	var st unix.Statfs_t
	must(t, unix.Statfs(dir, &st))
	return int64(st.Blocks - st.Bfree), int64(st.Files - st.Ffree)
}

// surveyed surveys the tree at root by itself.
func surveyed(t testing.TB, root string) (*tree, int) {
	t.Helper()
	src, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(src) })
	tr, _, err := survey(src, false, DefaultWorkers, maxDepth)
	must(t, err)
	return tr, src
}

// openDst opens a directory the way Copy opens its destination.
func openDst(t testing.TB, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, dirFlags, 0)
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// withoutXattrs removes what a tmpfs charges for as parts of an inode, but the
// survey does not count.
func withoutXattrs(t testing.TB, root string) {
	t.Helper()
	for rel, s := range snapshot(t, root) {
		for _, name := range []string{"user.note", "user.empty", "user.large", "user.dir", "security.capability"} {
			if strings.Contains(s, " "+name+"=") {
				must(t, unix.Lremovexattr(filepath.Join(root, rel), name))
			}
		}
	}
}

func TestSurveyIsWhatTmpfsCharges(t *testing.T) {
	needNamespaces(t)
	src := filepath.Join(tmpfs(t, ""), "tree")
	everyKind(t, src)
	withoutXattrs(t, src)
	tr, _ := surveyed(t, src)
	dst := tmpfs(t, "")
	_, empty := used(t, dst)
	if _, err := copyDir(t, src, dst, Options{}); err != nil {
		t.Fatal(err)
	}
	pages, inodes := used(t, dst)
	if tr.pages != pages || tr.inodes != inodes-empty {
		t.Errorf("survey: %d pages and %d inodes, the tmpfs charged %d and %d",
			tr.pages, tr.inodes, pages, inodes-empty)
	}

	t.Run("exact fit", func(t *testing.T) {
		dst := tmpfs(t, fmt.Sprintf("size=%d,nr_inodes=%d", tr.pages*pageSize, tr.inodes+1))
		if _, err := copyDir(t, src, dst, Options{}); err != nil {
			t.Error(err)
		}
	})
	for name, options := range map[string]string{
		"a page short":    fmt.Sprintf("size=%d", (tr.pages-1)*pageSize),
		"an inode short":  fmt.Sprintf("nr_inodes=%d", tr.inodes),
		"both much short": "size=64k,nr_inodes=5",
	} {
		t.Run(name, func(t *testing.T) {
			dst := tmpfs(t, options)
			must(t, os.Chmod(dst, 0o1770))
			before := snapshot(t, dst)
			st, err := copyDir(t, src, dst, Options{})
			big, ok := errors.AsType[*TooBig](err)
			if !ok {
				t.Fatalf("Copy = %+v, %v, want *TooBig", st, err)
			}
			if big.Need != tr.pages*pageSize || big.NeedInodes != tr.inodes {
				t.Errorf("%+v, want need of %d and %d", big, tr.pages*pageSize, tr.inodes)
			}
			if st.Files+st.Dirs+st.Bytes != 0 {
				t.Errorf("Stats = %+v for a copy that was not begun", st)
			}
			compare(t, snapshot(t, dst), before)
		})
	}
	t.Run("no limits", func(t *testing.T) {
		dst := tmpfs(t, "size=0,nr_inodes=0")
		if _, err := copyDir(t, src, dst, Options{}); err != nil {
			t.Error(err)
		}
	})
}

func TestTooBigText(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		e    TooBig
		want string
	}{
		{
			TooBig{212 * mib, 50 * mib, 9012, 3_000_000},
			"tree needs 212 MiB and 9012 inodes, the tmpfs has 50 MiB and 3M",
		},
		{
			TooBig{50*mib + 4096, 50 * mib, 1, 2},
			"tree needs 51204 KiB and 1 inodes, the tmpfs has 51200 KiB and 2",
		},
		{
			TooBig{1536, math.MaxInt64, 3_000_001, 3_000_000},
			"tree needs 1.5 KiB and 3000001 inodes, the tmpfs has unlimited space and 3000000",
		},
		{
			TooBig{3 << 39, 0, 123_456, math.MaxInt64},
			"tree needs 1.5 TiB and 123k inodes, the tmpfs has 0 B and unlimited inodes",
		},
		{
			TooBig{1023 << 10, 1<<20 - 1, 999_499, 999_500},
			"tree needs 1023 KiB and 999k inodes, the tmpfs has 1 MiB and 1M",
		},
	} {
		if got := c.e.Error(); got != c.want {
			t.Errorf("%#v:\n got %s\nwant %s", c.e, got, c.want)
		}
	}
}

func TestUnreadableText(t *testing.T) {
	for n, want := range map[int64]string{
		1: "copy etc/shadow: permission denied",
		3: "copy etc/shadow: permission denied (and 2 more)",
	} {
		err := error(&Unreadable{n, "etc/shadow"})
		if err.Error() != want || !errors.Is(err, os.ErrPermission) {
			t.Errorf("got %q, want %q, a permission error", err, want)
		}
	}
}

func TestPrintable(t *testing.T) {
	long := strings.Repeat("a/", 3000)
	for in, want := range map[string]string{
		"etc/passwd": "etc/passwd",
		"ünï cödé":   "ünï cödé",
		"a\nb":       `"a\nb"`,
		"\x1b[2J":    `"\x1b[2J"`,
		"\xff":       `"\xff"`,
		long:         long[:512] + "…" + long[6000-512:],
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %s, want %s", in, got, want)
		}
	}
}

// The tree passes the survey, and then what is left of the tmpfs is taken away.
func TestNoSpaceLeft(t *testing.T) {
	needNamespaces(t)
	src := t.TempDir()
	for i := range 20 {
		writeFile(t, fmt.Sprintf("%s/sub/file%02d", src, i), strings.Repeat("x", 100_000))
	}
	for name, options := range map[string]string{"bytes": "remount,size=1m", "inodes": "remount,nr_inodes=12"} {
		t.Run(name, func(t *testing.T) {
			dst := tmpfs(t, "size=8m")
			tr, from := surveyed(t, src)
			to := openDst(t, dst)
			must(t, tr.fits(to))
			must(t, unix.Mount("test", dst, "tmpfs", unix.MS_REMOUNT, strings.TrimPrefix(options, "remount,")))
			_, err := tr.copyTo(from, to, DefaultWorkers, maxDepth)
			if !errors.Is(err, unix.ENOSPC) || !strings.HasPrefix(err.Error(), "copy sub/file") ||
				!strings.HasSuffix(err.Error(), ": no space left on device") {
				t.Errorf("err = %v, want copy sub/file…: no space left on device", err)
			}
		})
	}
}
