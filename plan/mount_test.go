package plan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// mountinfo is what init sees mounted.
func (p *paused) mountinfo() ([]*mountinfo.Info, error) {
	f, err := os.Open(p.proc("mountinfo"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return mountinfo.GetMountsFromReader(f, nil)
}

// tmpfsRoot is an empty new root.
func tmpfsRoot(steps ...Step) []Step {
	return append([]Step{Stage{}, RootTmpfs{Mode: 0o755}, OpenRoot{}}, steps...)
}

// mounts runs steps in an empty new root, pivots into it, and returns what is
// mounted in it.
func mounts(t *testing.T, steps ...Step) (*paused, map[string]*mountinfo.Info) {
	t.Helper()
	return pivoted(t, tmpfsRoot(steps...)...)
}

func pivoted(t *testing.T, steps ...Step) (*paused, map[string]*mountinfo.Info) {
	t.Helper()
	p := after(t, append(steps, PivotRoot{})...)
	list, err := p.mountinfo()
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[string]*mountinfo.Info)
	for _, m := range list {
		if at[m.Mountpoint] != nil {
			at[m.Mountpoint+" below"] = at[m.Mountpoint]
		}
		at[m.Mountpoint] = m
		if m.Optional != "" && !strings.Contains(m.Optional, "master:") {
			t.Errorf("%s is %s, not private", m.Mountpoint, m.Optional)
		}
	}
	return p, at
}

// options checks a mount's filesystem and that each option is among its own or
// its filesystem's; one that begins with "!" must not be.
func options(t *testing.T, m *mountinfo.Info, fstype string, want ...string) {
	t.Helper()
	if m == nil {
		t.Fatal("no such mount")
	}
	if m.FSType != fstype && fstype != "" {
		t.Errorf("%s is a %s, want %s", m.Mountpoint, m.FSType, fstype)
	}
	all := "," + m.Options + "," + m.VFSOptions + ","
	for _, o := range want {
		name, absent := strings.CutPrefix(o, "!")
		if strings.Contains(all, ","+name+",") == absent {
			t.Errorf("%s has the options %s; want %s", m.Mountpoint, all, o)
		}
	}
}

// tree is a small directory of the host.
func tree(t *testing.T) (path string, dev, ino uint64) {
	t.Helper()
	path = t.TempDir()
	for _, dir := range []string{"proc", "mnt", "sub/deep"} {
		if err := os.MkdirAll(filepath.Join(path, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(path, "file"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return path, st.Dev, st.Ino
}

// inside is a path of the container, for the test.
func (p *paused) inside(path string) string { return p.proc("root") + path }

func TestRootTmpfs(t *testing.T) {
	leak.Watch(t)
	p, m := pivoted(t, Stage{Size: 1 << 20}, RootTmpfs{Size: 2 << 20, Mode: 0o1751}, OpenRoot{})
	options(t, m["/"], "tmpfs", "rw", "size=2048k")
	if len(m) != 1 {
		t.Errorf("%d mounts, want the root alone: the old one must be gone", len(m))
	}
	st, err := os.Stat(p.inside("/"))
	if err != nil || st.Mode()&(os.ModePerm|os.ModeSticky) != 0o751|os.ModeSticky {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	if wd, err := os.Readlink(p.proc("cwd")); err != nil || wd != "/" {
		t.Errorf("the working directory is %s, %v", wd, err)
	}
}

// stageSize is that of no other tmpfs.
const stageSize = 3084 << 10

func TestStage(t *testing.T) {
	leak.Watch(t)
	p := after(t, Stage{Size: stageSize}, StageDir{Name: "a", Mode: 0o2751}, StageDir{Name: "b", Mode: 0o700})
	list, err := p.mountinfo()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		if m.Mountpoint == StagePoint {
			options(t, m, "tmpfs", "nosuid", "nodev", "size=3084k")
		} else if strings.Contains(m.VFSOptions, "size=3084k") {
			t.Errorf("the stage is at %s", m.Mountpoint)
		}
	}
	stage := p.stage(t)
	for name, want := range map[string]os.FileMode{"a": 0o751 | os.ModeSetgid, "b": 0o700} {
		st, err := os.Stat(filepath.Join(stage, name))
		if err != nil || st.Mode()&(os.ModePerm|os.ModeSetgid) != want {
			t.Errorf("stage directory %s: %v, %v; want %v", name, st, err, want)
		}
	}
}

// stage is the directory on which init holds an fd alone.
func (p *paused) stage(t *testing.T) string {
	t.Helper()
	fds, err := os.ReadDir(p.proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		var st unix.Statfs_t
		path := p.proc("fd/" + fd.Name())
		if unix.Statfs(path, &st) == nil && st.Type == unix.TMPFS_MAGIC && st.Blocks*uint64(st.Bsize) == stageSize {
			return path
		}
	}
	t.Fatal("no fd is on the stage")
	return ""
}

func TestAttachTree(t *testing.T) {
	leak.Watch(t)
	path, dev, ino := tree(t)
	root := AttachTree{Path: path, Dev: dev, Ino: ino, Name: "root"}

	p, m := pivoted(t, Stage{}, root, OpenRoot{})
	options(t, m["/"], "", "rw")
	if b, err := os.ReadFile(p.inside("/file")); string(b) != "content" {
		t.Errorf("file: %q, %v", b, err)
	}
	root.ReadOnly, root.Recursive = true, true
	_, m = pivoted(t, Stage{}, root, OpenRoot{})
	options(t, m["/"], "", "ro")

	root.Ino++
	failing(t, unix.ESTALE, Stage{}, root)
	root.Ino, root.Dev = ino, dev+1
	failing(t, unix.ESTALE, Stage{}, root)
	failing(t, unix.ENOENT, Stage{}, AttachTree{Path: path + "/missing", Name: "root"})
}

func TestOverlay(t *testing.T) {
	leak.Watch(t)
	path, dev, ino := tree(t)
	lower := AttachTree{Path: path, Dev: dev, Ino: ino, Name: "lower"}
	dirs := []Step{Stage{}, StageDir{Name: "upper", Mode: 0o755}, StageDir{Name: "work", Mode: 0o700}, lower}
	p, m := pivoted(t, append(dirs, Overlay{Lower: []string{"lower"}, Upper: "upper", Work: "work"}, OpenRoot{}, MakeDir{"/new", 0o755})...)
	options(t, m["/"], "overlay", "rw", "userxattr", "lowerdir=lower", "upperdir=upper", "!volatile")
	if _, err := os.Stat(p.inside("/new")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path + "/new"); err == nil {
		t.Error("the lower layer was written")
	}
	_, m = pivoted(t, append(dirs, Overlay{Lower: []string{"lower"}, Upper: "upper", Work: "work", Volatile: true}, OpenRoot{})...)
	if o := m["/"].VFSOptions; !strings.HasSuffix(o, "volatile") && !strings.Contains(o, "volatile,") { // newer kernels: fsync=volatile
		t.Errorf("the overlay has the options %s; want volatile", o)
	}
	failing(t, unix.ENOENT, append(dirs, Overlay{Lower: []string{"none"}, Upper: "upper", Work: "work"})...)
}

func TestReadOnlyRoot(t *testing.T) {
	leak.Watch(t)
	_, m := mounts(t, MakeDir{"/mnt", 0o755}, Mount{Type: "tmpfs", Target: "/mnt"}, ReadOnlyRoot{})
	options(t, m["/"], "tmpfs", "ro")
	options(t, m["/mnt"], "tmpfs", "rw")
	failing(t, unix.EROFS, tmpfsRoot(ReadOnlyRoot{}, MakeDir{"/new", 0o755})...)
}

func TestMakeDirFileAndSymlink(t *testing.T) {
	leak.Watch(t)
	p, _ := mounts(t, SetUmask{}, MakeDir{"/d", 0o1777}, MakeDir{"/d", 0o700}, MakeDir{"/d/e", 0o711},
		MakeFile{"/d/f"}, MakeFile{"/d/f"}, MakeFile{"/d/e"}, Symlink{"/l", "/d"}, MakeDir{"/l/through", 0o755},
		Symlink{"/up", "../../../../../.."}, MakeFile{"/up/top"})
	for name, want := range map[string]os.FileMode{
		"/d": os.ModeDir | os.ModeSticky | 0o777, "/d/e": os.ModeDir | 0o711, "/d/f": 0o644,
		"/l": os.ModeSymlink | 0o777, "/d/through": os.ModeDir | 0o755, "/top": 0o644,
	} {
		st, err := os.Lstat(p.inside(name))
		if err != nil || st.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, st, err, want)
		}
	}
	failing(t, unix.ENOENT, tmpfsRoot(MakeDir{"/none/dir", 0o755})...)
	failing(t, unix.EEXIST, tmpfsRoot(Symlink{"/l", "a"}, Symlink{"/l", "a"})...)
	failing(t, unix.ENOTDIR, tmpfsRoot(MakeFile{"/f"}, MakeFile{"/f/g"})...)
	failing(t, unix.ELOOP, tmpfsRoot(Symlink{"/l", "l"}, MakeFile{"/l/g"})...)
}

func TestMount(t *testing.T) {
	leak.Watch(t)
	p, m := mounts(t, MakeDir{"/mnt", 0o755}, Symlink{"/link", "mnt"}, MakeDir{"/proc", 0o755},
		Mount{Type: "tmpfs", Target: "/link", Flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_RDONLY, Data: "size=1m,mode=0700"},
		Mount{Type: "proc", Target: "/proc", Flags: unix.MS_NOEXEC, Strict: true})
	options(t, m["/mnt"], "tmpfs", "ro", "nosuid", "nodev", "!noexec", "size=1024k", "mode=700")
	options(t, m["/proc"], "proc", "rw", "noexec", "!nosuid")
	if got, err := os.Readlink(p.inside("/proc/1/exe")); err != nil || got == "" {
		t.Errorf("process 1 of the new proc: %q, %v", got, err)
	}
	failing(t, unix.ENOTDIR, tmpfsRoot(MakeDir{"/mnt", 0o755}, Symlink{"/proc", "mnt"}, Mount{Type: "proc", Target: "/proc", Strict: true})...)
	failing(t, unix.ENOTDIR, tmpfsRoot(MakeFile{"/proc"}, Mount{Type: "proc", Target: "/proc"})...)
	failing(t, unix.ENODEV, tmpfsRoot(MakeDir{"/mnt", 0o755}, Mount{Type: "nosuchfs", Target: "/mnt"})...)
}

func TestBind(t *testing.T) {
	leak.Watch(t)
	path, dev, ino := tree(t)
	bind := Bind{Source: path, Target: "/mnt", Dev: dev, Ino: ino}
	p, m := mounts(t, MakeDir{"/mnt", 0o755}, bind)
	options(t, m["/mnt"], "", "rw", "!nosuid")
	if b, err := os.ReadFile(p.inside("/mnt/file")); string(b) != "content" {
		t.Errorf("file: %q, %v", b, err)
	}
	bind.Attr = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	bind.Recursive, bind.Slave = true, true
	_, m = mounts(t, MakeDir{"/mnt", 0o755}, bind)
	options(t, m["/mnt"], "", "ro", "nosuid", "nodev", "noexec")

	// a file, through a link that points out of the root
	_, m = mounts(t, MakeFile{"/f"}, Symlink{"/l", "../../f"}, Bind{Source: path + "/file", Target: "/l"})
	if m["/f"] == nil {
		t.Errorf("nothing is mounted on /f: %v", m)
	}

	bind.Ino++
	failing(t, unix.ESTALE, tmpfsRoot(MakeDir{"/mnt", 0o755}, bind)...)
	bind.Ino--
	failing(t, unix.ENOENT, tmpfsRoot(bind)...)
	failing(t, unix.EINVAL, tmpfsRoot(MakeFile{"/mnt"}, bind)...)
	strict := bind
	strict.Strict = true
	failing(t, unix.ENOTDIR, tmpfsRoot(MakeDir{"/other", 0o755}, Symlink{"/mnt", "other"}, strict)...)
	failing(t, unix.ENOTDIR, tmpfsRoot(MakeFile{"/mnt"}, strict)...)
	failing(t, unix.EINVAL, tmpfsRoot(MakeDir{"/mnt", 0o755}, Bind{Source: "/", Target: "/mnt"})...) // it has mounts below, which must stay
}

func TestBindSelf(t *testing.T) {
	leak.Watch(t)
	_, m := mounts(t, MakeDir{"/a", 0o755}, MakeDir{"/a/b", 0o755}, Mount{Type: "tmpfs", Target: "/a/b"},
		BindSelf{"/a", unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID}, BindSelf{"/missing", unix.MOUNT_ATTR_RDONLY})
	options(t, m["/"], "tmpfs", "rw")
	options(t, m["/a"], "tmpfs", "ro", "nosuid", "!nodev")
	options(t, m["/a/b"], "tmpfs", "ro", "nosuid")
	if len(m) > 4 {
		t.Errorf("mounts %v", m)
	}
}

func TestBindNode(t *testing.T) {
	leak.Watch(t)
	p, m := mounts(t, MakeDir{"/dev", 0o755}, BindNode{"null"}, BindNode{"zero"})
	if m["/dev/null"] == nil || m["/dev/zero"] == nil {
		t.Fatalf("mounts %v", m)
	}
	var st unix.Stat_t
	if err := unix.Stat(p.inside("/dev/zero"), &st); err != nil || st.Rdev != unix.Mkdev(1, 5) {
		t.Errorf("/dev/zero is device %#x, %v", st.Rdev, err)
	}
	failing(t, unix.ENOENT, tmpfsRoot(MakeDir{"/dev", 0o755}, BindNode{"no-such-device"})...)
	failing(t, unix.EEXIST, tmpfsRoot(MakeDir{"/dev", 0o755}, Symlink{"/dev/null", "/evil"}, BindNode{"null"})...)
}

func TestMask(t *testing.T) {
	leak.Watch(t)
	p, m := mounts(t, MakeDir{"/d", 0o755}, MakeFile{"/d/secret"}, MakeFile{"/f"}, Symlink{"/l", "f"}, OpenNull{},
		Mask{"/missing", false}, Mask{"/missing", true}, Mask{"/f", false}, Mask{"/d", true})
	options(t, m["/d"], "tmpfs", "ro", "nosuid", "nodev", "noexec", "size=0k", "nr_inodes=1")
	if left, err := os.ReadDir(p.inside("/d")); err != nil || len(left) != 0 {
		t.Errorf("in the masked directory: %v, %v", left, err)
	}
	var st unix.Stat_t
	if err := unix.Stat(p.inside("/f"), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
		t.Errorf("the masked file is %#o, device %#x, %v", st.Mode, st.Rdev, err)
	}
	if m["/missing"] != nil {
		t.Error("something is mounted on /missing")
	}
}

func TestProvideFile(t *testing.T) {
	leak.Watch(t)
	p, m := mounts(t, MakeDir{"/run", 0o755}, MakeFile{"/run/real"}, Symlink{"/l", "/run/real"}, MakeFile{"/e"},
		SetUmask{0o22}, ProvideFile{"/l", "own", "line\n"}, ProvideFile{"/e", "empty", ""})
	if m["/run/real"] == nil || m["/e"] == nil {
		t.Fatalf("mounts %v", m)
	}
	for name, want := range map[string]string{"/run/real": "line\n", "/e": ""} {
		if b, err := os.ReadFile(p.inside(name)); err != nil || string(b) != want {
			t.Errorf("%s: %q, %v", name, b, err)
		}
	}
	if st, err := os.Stat(p.inside("/e")); err != nil || st.Mode() != 0o644 {
		t.Errorf("mode %v, %v", st, err)
	}
	failing(t, unix.EEXIST, tmpfsRoot(MakeFile{"/e"}, ProvideFile{"/e", "x", ""}, ProvideFile{"/e", "x", ""})...)
	failing(t, unix.ENOENT, tmpfsRoot(ProvideFile{"/e", "x", ""})...)
	small := []Step{Stage{Size: 4096}, RootTmpfs{Mode: 0o755}, OpenRoot{}, MakeFile{"/e"}}
	failing(t, unix.ENOSPC, append(small, ProvideFile{"/e", "x", "1"}, ProvideFile{"/e", "y", "2"})...)
	failing(t, errShort, append(small, ProvideFile{"/e", "x", strings.Repeat("x", 9000)})...)
}

func TestPropagate(t *testing.T) {
	leak.Watch(t)
	for kind, bad := range map[string]string{"private": "master:", "slave": "shared:"} {
		p := after(t, Propagate{kind})
		list, err := p.mountinfo()
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range list {
			if strings.Contains(m.Optional, bad) || strings.Contains(m.Optional, "shared:") {
				t.Errorf("%s: %s is %s", kind, m.Mountpoint, m.Optional)
			}
		}
	}
}

func TestPivotRootLeavesNothingOfTheHost(t *testing.T) {
	leak.Watch(t)
	p, m := mounts(t, MakeDir{"/proc", 0o755})
	for at, info := range m {
		if at != "/" {
			t.Errorf("%s is mounted at %s", info.Source, at)
		}
	}
	if _, err := os.Stat(p.inside("/etc/passwd")); err == nil {
		t.Error("the host's /etc/passwd is there")
	}
	failing(t, unix.EINVAL, Stage{}, StageDir{Name: "root", Mode: 0o755}, OpenRoot{}, PivotRoot{}) // no mount point
}

// The helper is the launcher's own binary, with the stage as its working
// directory; one that fails has said why.
func TestCopyTree(t *testing.T) {
	leak.Watch(t)
	path, dev, ino := tree(t)
	stage := []Step{Stage{}, AttachTree{Path: path, Dev: dev, Ino: ino, Name: "lower"}, RootTmpfs{Mode: 0o755}}
	p, _ := pivoted(t, append(stage, CopyTree{From: "lower", To: "root", Source: path}, OpenRoot{})...)
	b, err := os.ReadFile(p.inside("/copied"))
	if want := fmt.Sprintf("[lower root %s]\n", path); err != nil || string(b) != want {
		t.Errorf("copied %q, %v; want %q", b, err, want)
	}

	pl := begin(append(stage, CopyTree{From: "lower", To: "root", Source: path, Quiet: true})...)
	_, err = pause(t, pl)
	checkStepError(t, err, len(pl.Entries)-1, errHelper)
	var failed *StepError
	if !errors.As(err, &failed) || !HelperSpoke(failed) {
		t.Error("it is not told that the helper spoke")
	}
}
