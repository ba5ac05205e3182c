package copytree

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// chain makes a chain of directories too long for any path, with a file in each,
// and returns how many there are.
func chain(t testing.TB, root string, depth int) {
	t.Helper()
	at, err := unix.Open(root, dirFlags, 0)
	must(t, err)
	name := strings.Repeat("d", 100)
	for range depth {
		f, err := unix.Openat(at, "f", unix.O_CREAT|unix.O_WRONLY, 0o644)
		must(t, err)
		_, err = unix.Write(f, []byte("data"))
		must(t, err)
		must(t, unix.Close(f))
		must(t, unix.Mkdirat(at, "0leaf", 0o755))
		must(t, unix.Mkdirat(at, name, 0o755))
		next, err := unix.Openat(at, name, dirFlags, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = next
	}
	// Hard links across all of it.
	must(t, unix.Mkfifoat(at, "deep", 0o644))
	top, err := unix.Open(root, dirFlags, 0)
	must(t, err)
	must(t, unix.Linkat(at, "deep", top, "shallow", 0))
	must(t, unix.Close(top))
	must(t, unix.Close(at))
}

func TestDeepTree(t *testing.T) {
	const depth = 2000
	src, dst := tmpfs(t, ""), tmpfs(t, "")
	chain(t, src, depth)
	start := time.Now()
	st, err := copyDir(t, src, dst, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v", time.Since(start))
	if st.Files != depth || st.Dirs != 2*depth+1 || st.Links != 1 || st.Specials != 1 {
		t.Errorf("Stats = %+v", st)
	}
	at, err := unix.Open(dst, dirFlags, 0)
	must(t, err)
	for i := range depth {
		var st unix.Stat_t
		if err := unix.Fstatat(at, "f", &st, 0); err != nil || st.Size != 4 {
			t.Fatalf("f at depth %d: size %d, %v", i, st.Size, err)
		}
		next, err := unix.Openat(at, strings.Repeat("d", 100), dirFlags, 0)
		must(t, err)
		must(t, unix.Close(at))
		at = next
	}
	must(t, unix.Close(at))
}

func TestManyFilesInOneDirectory(t *testing.T) {
	const n = 100_000
	src, dst := tmpfs(t, "nr_inodes=300k"), tmpfs(t, "nr_inodes=300k")
	at := openPath(t, src)
	for i := range n {
		fd, err := unix.Openat(at, fmt.Sprintf("file%06d", i), unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
		must(t, err)
		if i%1000 == 0 {
			_, err = unix.Write(fd, fmt.Append(nil, i))
			must(t, err)
		}
		must(t, unix.Close(fd))
	}
	must(t, os.Chtimes(src, time.Unix(1, 2), time.Unix(3, 4)))
	start := time.Now()
	st, err := copyDir(t, src, dst, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%v", time.Since(start))
	if fi, err := os.Stat(dst); err != nil || !fi.ModTime().Equal(time.Unix(3, 4)) {
		t.Errorf("time of the root: %v, %v", fi.ModTime(), err)
	}
	if st.Files != n || len(list(t, dst)) != n {
		t.Errorf("%d files, %d names, want %d", st.Files, len(list(t, dst)), n)
	}
	for i := 0; i < n; i += 1000 {
		if b, err := os.ReadFile(fmt.Sprintf("%s/file%06d", dst, i)); err != nil || string(b) != fmt.Sprint(i) {
			t.Fatalf("file %d holds %q, %v", i, b, err)
		}
	}
}

func TestHugeSparseFile(t *testing.T) {
	src, dst := tmpfs(t, ""), tmpfs(t, "size=1m")
	f, err := os.Create(src + "/disk")
	must(t, err)
	defer f.Close()
	must(t, f.Truncate(1<<40))
	for _, off := range []int64{0, 512 << 30, 1<<40 - 3} {
		_, err = f.WriteAt([]byte("end"), off)
		must(t, err)
	}
	start := time.Now()
	st, err := copyDir(t, src, dst, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if got, want := blocks(t, dst+"/disk"), blocks(t, src+"/disk"); got != want || st.Bytes != 3*pageSize {
		t.Errorf("%d blocks, %d bytes copied, want %d and %d", got, st.Bytes, want, 3*pageSize)
	}
	g, err := os.Open(dst + "/disk")
	must(t, err)
	defer g.Close()
	if fi, err := g.Stat(); err != nil || fi.Size() != 1<<40 {
		t.Errorf("size %v, %v", fi.Size(), err)
	}
	buf := make([]byte, 4)
	for _, off := range []int64{0, 512 << 30, 1<<40 - 3} {
		if n, _ := g.ReadAt(buf, off); n < 3 || string(buf[:3]) != "end" {
			t.Errorf("at %d: %q", off, buf[:n])
		}
	}
}

// lowLimitEnv is set in a process that copies its descriptor 3 to 4 with that
// RLIMIT_NOFILE.
const lowLimitEnv = "COPYTREE_NOFILE"

// copyWithLowLimit is that process. It has no descriptors but those, as the
// launcher's helper has, and what the Go runtime opens.
func copyWithLowLimit() {
	var limit uint64
	_, err := fmt.Sscan(os.Getenv(lowLimitEnv), &limit)
	if err == nil {
		err = unix.CloseRange(5, math.MaxUint32, 0)
	}
	if err == nil {
		err = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: limit, Max: limit})
	}
	if err == nil {
		_, err = Copy(3, 4, Options{Progress: func(int64, int64) {}})
	}
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func TestFewDescriptors(t *testing.T) {
	src := tmpfs(t, "")
	everyKind(t, filepath.Join(src, "tree"))
	chain(t, filepath.Join(src, "tree/link"), 30)
	want := snapshot(t, filepath.Join(src, "tree"))
	for _, c := range []struct {
		limit int
		want  string // output
	}{{16, ""}, {20, ""}, {32, ""}, {1024, ""}, {9, "open .: too many open files\n"}} {
		dst := tmpfs(t, "")
		from, err := os.Open(filepath.Join(src, "tree"))
		must(t, err)
		to, err := os.Open(dst)
		must(t, err)
		cmd := exec.Command("/proc/self/exe", "-test.run=^$")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", lowLimitEnv, c.limit))
		cmd.ExtraFiles = []*os.File{from, to}
		out, _ := cmd.CombinedOutput()
		must(t, from.Close())
		must(t, to.Close())
		if string(out) != c.want {
			t.Errorf("limit %d: %q, want %q", c.limit, out, c.want)
		} else if c.want == "" {
			compare(t, withoutLinkAtimes(snapshot(t, dst)), withoutLinkAtimes(want))
		}
	}
}

func TestDescriptorsAreClosed(t *testing.T) {
	needNamespaces(t)
	src := filepath.Join(t.TempDir(), "tree")
	everyKind(t, src)
	from, to := openPath(t, src), tmpfs(t, "")
	small := openPath(t, tmpfs(t, "size=4k"))
	fd := openPath(t, to)
	before := list(t, "/proc/self/fd")
	if _, err := Copy(from, fd, Options{Workers: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := Copy(from, small, Options{}); err == nil {
		t.Error("the tree fits 4 KiB")
	}
	if after := list(t, "/proc/self/fd"); len(after) != len(before) {
		t.Errorf("open before: %v, after: %v", before, after)
	}
	must(t, os.Chmod(src+"/d/locked", 0o700))
}
