package copytree

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMountsBelowTheTree(t *testing.T) {
	needNamespaces(t)
	src := t.TempDir()
	for _, d := range []string{"data", "proc", "sys", "empty"} {
		must(t, os.Mkdir(src+"/"+d, 0o755))
	}
	mountOn(t, src+"/data", "tmpfs", "mode=711")
	writeFile(t, src+"/data/in", "a submount")
	writeFile(t, src+"/bound", "")
	writeFile(t, src+"/null", "")
	bind := func(from, to string, flags uintptr) {
		must(t, unix.Mount(from, src+to, "", unix.MS_BIND|flags, ""))
		t.Cleanup(func() { must(t, unix.Unmount(src+to, unix.MNT_DETACH)) })
	}
	bind("/proc", "/proc", unix.MS_REC)
	bind("/sys", "/sys", unix.MS_REC)
	bind(src+"/data/in", "/bound", 0)
	bind("/dev/null", "/null", 0)

	dst, st := mustCopy(t, src)
	got := snapshot(t, dst)
	if len(got) != 7 {
		t.Errorf("copied %q", got)
	}
	if got["data/in"] == "" || !strings.HasPrefix(got["data"], "mode 040711") || got["bound"] != got["data/in"] {
		t.Errorf("data is %q, data/in %q, bound %q", got["data"], got["data/in"], got["bound"])
	}
	if st.Pseudo != (Tally{2, "proc"}) {
		t.Errorf("Pseudo = %+v, want proc and sys", st.Pseudo)
	}
	if st.Devices != (Tally{1, "null"}) {
		t.Errorf("Devices = %+v, want null", st.Devices)
	}
}

// ramfs stands for a tmpfs before Linux 6.6: neither has user.* attributes.
func TestNoUserXattrs(t *testing.T) {
	src, dst := t.TempDir(), mountAt(t, "ramfs", "")
	writeFile(t, src+"/file", "x")
	want := snapshot(t, src)
	must(t, unix.Lsetxattr(src+"/file", "user.a", []byte("1"), 0))
	must(t, unix.Lsetxattr(src+"/file", "user.b", []byte("2"), 0))
	st, err := copyDir(t, src, dst, Options{})
	if err != nil || st.XattrsDropped != 2 {
		t.Errorf("Copy = %+v, %v, want two attributes dropped", st, err)
	}
	compare(t, snapshot(t, dst), want)
}

// A filesystem that cannot splice: sendfile answers EINVAL, here for O_APPEND.
func TestWithoutSplice(t *testing.T) {
	needNamespaces(t)
	dir := tmpfs(t, "")
	want := strings.Repeat("0123456789", 123_456)
	in, err := os.Open(writeFile(t, dir+"/in", want))
	must(t, err)
	defer in.Close()
	out, err := os.OpenFile(dir+"/out", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer out.Close()
	c := &copier{tree: &tree{}, pool: newPool(1, part{}), buf: make([]byte, copyBuf)}
	must(t, c.stream(int(in.Fd()), int(out.Fd()), int64(len(want))))
	if b, err := os.ReadFile(dir + "/out"); err != nil || string(b) != want {
		t.Errorf("%d bytes, %v, want %d", len(b), err, len(want))
	}
	if c.stats.Bytes != int64(len(want)) || c.tree.done.Load() != int64(len(want)) {
		t.Errorf("counted %d and %d bytes", c.stats.Bytes, c.tree.done.Load())
	}
}
