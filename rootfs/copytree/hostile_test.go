package copytree

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Every swap is made between the survey and the copy, so it hits for certain.
func TestSwapsAfterTheSurvey(t *testing.T) {
	needNamespaces(t)
	outside := t.TempDir()
	writeFile(t, outside+"/secret", "secret")
	writeFile(t, outside+"/sub/secret", "secret")

	for name, c := range map[string]struct {
		swap func(at func(string) string) // replaces the entry x
		dir  bool                         // x is a directory at first, else a file
		want string                       // kind of x in the copy: d, or empty for none
	}{
		"file by symlink":     {func(at func(string) string) { must(t, os.Symlink(outside+"/secret", at("x"))) }, false, ""},
		"file by fifo":        {func(at func(string) string) { must(t, unix.Mkfifo(at("x"), 0o644)) }, false, ""},
		"file by socket":      {func(at func(string) string) { must(t, unix.Mknod(at("x"), unix.S_IFSOCK|0o644, 0)) }, false, ""},
		"file by whiteout":    {func(at func(string) string) { must(t, unix.Mknod(at("x"), unix.S_IFCHR|0o644, 0)) }, false, ""},
		"file by directory":   {func(at func(string) string) { writeFile(t, at("x/new"), "new") }, false, ""},
		"file by nothing":     {func(at func(string) string) {}, false, ""},
		"directory by link":   {func(at func(string) string) { must(t, os.Symlink(outside, at("x"))) }, true, "d"},
		"directory by file":   {func(at func(string) string) { writeFile(t, at("x"), "new") }, true, "d"},
		"directory by fifo":   {func(at func(string) string) { must(t, unix.Mkfifo(at("x"), 0o644)) }, true, "d"},
		"directory by nought": {func(at func(string) string) {}, true, "d"},
	} {
		t.Run(name, func(t *testing.T) {
			src, dst := t.TempDir(), tmpfs(t, "")
			at := func(rel string) string { return filepath.Join(src, rel) }
			if c.dir {
				writeFile(t, at("x/secret"), "plain")
				writeFile(t, at("x/sub/secret"), "plain")
			} else {
				writeFile(t, at("x"), "plain")
			}
			writeFile(t, at("stays"), "plain")
			tr, from := surveyed(t, src)
			must(t, os.Rename(at("x"), outside+"/gone"))
			defer func() { must(t, os.RemoveAll(outside+"/gone")) }()
			c.swap(at)
			st, err := tr.copyTo(from, openDst(t, dst), DefaultWorkers, maxDepth)
			if err != nil {
				t.Fatal(err)
			}
			if st.Changed.N != 1 || st.Changed.First != "x" {
				t.Errorf("Changed = %+v, want x", st.Changed)
			}
			got := snapshot(t, dst)
			if _, ok := got["stays"]; !ok {
				t.Error("the other file is missing")
			}
			x, ok := got["x"]
			if ok != (c.want == "d") || ok && !strings.HasPrefix(x, "mode 04") || len(got) > 3 {
				t.Errorf("copied %q", got)
			}
		})
	}
}

// The second half of a large directory comes up when the directory is gone.
func TestPartOfADirectoryLost(t *testing.T) {
	src, dst := t.TempDir(), tmpfs(t, "")
	for i := range 2 * partEntries {
		writeFile(t, fmt.Sprintf("%s/d/file%04d", src, i), "x")
	}
	must(t, os.Chtimes(src+"/d", time.Unix(1, 2), time.Unix(3, 4)))
	tr, from := surveyed(t, src)
	to := openDst(t, dst)
	must(t, os.Mkdir(dst+"/d", 0o700))
	c := &copier{tree: tr, lane: newLane(opened{tr.root, from, to}, minDepth), buf: make([]byte, copyBuf)}
	defer c.lane.close()
	d := tr.root.subs[0]
	d.parts.Store(2)
	must(t, c.part(part{d, 0, partEntries}))
	must(t, os.Rename(src+"/d", src+"/e"))
	must(t, os.Symlink("/etc", src+"/d"))
	c.lane.close()
	must(t, c.part(part{d, partEntries, 2 * partEntries}))
	if c.stats.Files != partEntries || c.stats.Changed.N != partEntries || !strings.HasPrefix(c.stats.Changed.First, "d/file") {
		t.Errorf("Stats = %+v", c.stats)
	}
	if n := len(list(t, dst+"/d")); n != partEntries {
		t.Errorf("%d files, want %d", n, partEntries)
	}
	if fi, err := os.Stat(dst + "/d"); err != nil || !fi.ModTime().Equal(time.Unix(3, 4)) || fi.Mode().Perm() != 0o700 {
		t.Errorf("d: %v", fi)
	}
}

// A directory that changes while it is read may show a name twice.
func TestNamesTwice(t *testing.T) {
	src, dst := t.TempDir(), tmpfs(t, "")
	writeFile(t, src+"/d/file", "x")
	must(t, os.Symlink("x", src+"/d/link"))
	must(t, unix.Mkfifo(src+"/d/fifo", 0o600))
	must(t, os.Link(src+"/d/fifo", src+"/d/fifo2"))
	want := snapshot(t, src)
	tr, from := surveyed(t, src)
	d := tr.root.subs[0]
	d.entries = append(d.entries, d.entries...)
	tr.root.subs = append(tr.root.subs, &dir{parent: tr.root, self: d.self})
	st, err := tr.copyTo(from, openDst(t, dst), DefaultWorkers, maxDepth)
	if err != nil || st.Changed.N != 5 {
		t.Errorf("copyTo = %+v, %v, want 5 changed", st, err)
	}
	compare(t, withoutLinkAtimes(snapshot(t, dst)), withoutLinkAtimes(want))
}

// A symbolic link that turned into something else is not read.
func TestLinkSwapped(t *testing.T) {
	src, dst := t.TempDir(), tmpfs(t, "")
	must(t, os.Symlink("a", src+"/x"))
	tr, from := surveyed(t, src)
	must(t, os.Remove(src+"/x"))
	writeFile(t, src+"/x", "file")
	st, err := tr.copyTo(from, openDst(t, dst), DefaultWorkers, maxDepth)
	if err != nil || st.Changed.N != 1 || len(snapshot(t, dst)) != 1 {
		t.Errorf("copyTo = %+v, %v", st, err)
	}
}

// A name of a hard link that now means another file is copied as that.
func TestHardLinkBroken(t *testing.T) {
	src, dst := t.TempDir(), tmpfs(t, "")
	writeFile(t, src+"/a", "one")
	must(t, os.Link(src+"/a", src+"/b"))
	must(t, os.Link(src+"/a", src+"/c"))
	tr, from := surveyed(t, src)
	for _, name := range []string{"/a", "/b", "/c"} {
		must(t, os.Remove(src+name))
		writeFile(t, src+name, "new"+name)
	}
	_, err := tr.copyTo(from, openDst(t, dst), 1, maxDepth)
	must(t, err)
	for _, name := range []string{"/a", "/b", "/c"} {
		if b, err := os.ReadFile(dst + name); err != nil || string(b) != "new"+name {
			t.Errorf("%s holds %q, %v", name, b, err)
		}
	}
}

// A directory trades places with a link to /etc, over and over, while it is
// copied. Nothing of /etc may arrive, and nothing but Changed may be said.
func TestSwapsWhileCopying(t *testing.T) {
	needNamespaces(t)
	src := t.TempDir()
	for _, d := range []string{"x/a/b/c", "x/a/d", "x/e"} {
		for _, f := range []string{"passwd", "hostname", "group"} {
			writeFile(t, filepath.Join(src, d, f), "plain")
		}
	}
	must(t, os.Symlink("/etc", src+"/y"))
	must(t, os.Symlink("/etc", src+"/x/a/y"))
	stop, stopped := make(chan struct{}), make(chan struct{})
	swaps := 0
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				for _, d := range []string{src, src + "/x/a", src} {
					// The second fails while x is the link.
					_ = unix.Renameat2(unix.AT_FDCWD, d+"/x", unix.AT_FDCWD, d+"/y", unix.RENAME_EXCHANGE)
					_ = unix.Renameat2(unix.AT_FDCWD, d+"/b", unix.AT_FDCWD, d+"/y", unix.RENAME_EXCHANGE)
					swaps++
				}
			}
		}
	}()
	changed, deadline := int64(0), time.Now().Add(1500*time.Millisecond)
	for time.Now().Before(deadline) {
		dst := t.TempDir()
		must(t, unix.Mount("test", dst, "tmpfs", 0, ""))
		st, err := copyDir(t, src, dst, Options{})
		if err != nil {
			t.Error(err)
		}
		changed += st.Changed.N
		must(t, filepath.WalkDir(dst, func(path string, e fs.DirEntry, err error) error {
			must(t, err)
			if e.Type().IsRegular() {
				if b, err := os.ReadFile(path); err != nil || string(b) != "plain" {
					t.Errorf("%s holds %.40q, %v", path, b, err)
				}
			}
			return nil
		}))
		must(t, unix.Unmount(dst, unix.MNT_DETACH))
		if t.Failed() {
			break
		}
	}
	close(stop)
	<-stopped
	t.Logf("%d swaps, %d entries found changed", swaps, changed)
	if changed == 0 {
		t.Error("no swap was met: the test proves nothing")
	}
}

// A file that is written to all the time neither holds the copy up nor breaks
// it.
func TestFilesThatGrowAndShrink(t *testing.T) {
	src, dst := t.TempDir(), tmpfs(t, "")
	writeFile(t, src+"/grown", "a")
	writeFile(t, src+"/shrunk", strings.Repeat("b", 100_000))
	tr, from := surveyed(t, src)
	must(t, os.Truncate(src+"/shrunk", 10))
	writeFile(t, src+"/grown", strings.Repeat("a", 200_000))
	st, err := tr.copyTo(from, openDst(t, dst), DefaultWorkers, maxDepth)
	must(t, err)
	for name, want := range map[string]int64{"grown": 200_000, "shrunk": 10} {
		if fi, err := os.Stat(filepath.Join(dst, name)); err != nil || fi.Size() != want {
			t.Errorf("%s: %v, %v, want %d bytes", name, fi, err, want)
		}
	}
	if st.Bytes != 200_010 {
		t.Errorf("Bytes = %d", st.Bytes)
	}
}

func TestDestinationMustBeEmpty(t *testing.T) {
	src, dst := t.TempDir(), tmpfs(t, "")
	writeFile(t, dst+"/some\nthing", "")
	_, err := copyDir(t, src, dst, Options{})
	if !errors.Is(err, unix.ENOTEMPTY) || strings.Contains(err.Error(), "\n") {
		t.Errorf("err = %v, want a line with %v", err, unix.ENOTEMPTY)
	}
}

func TestNoDirectory(t *testing.T) {
	dst := tmpfs(t, "")
	file, err := os.Open(writeFile(t, t.TempDir()+"/file", ""))
	must(t, err)
	defer file.Close()
	for name, fds := range map[string][2]int{
		"source is a file":      {int(file.Fd()), openPath(t, dst)},
		"destination is a file": {openPath(t, dst), int(file.Fd())},
		"no descriptors":        {-1, -1},
	} {
		_, err := Copy(fds[0], fds[1], Options{})
		if _, ok := errors.AsType[*fs.PathError](err); !ok {
			t.Errorf("%s: err = %v, want an *fs.PathError", name, err)
		}
	}
}
