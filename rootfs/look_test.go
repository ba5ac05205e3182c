package rootfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// grow makes files and directories below a new directory. A name that ends in a
// slash is a directory, "a -> b" a link, "a = b" a file with a text.
func grow(t *testing.T, names ...string) string {
	t.Helper()
	top := t.TempDir()
	for _, name := range names {
		link, to, isLink := strings.Cut(name, " -> ")
		file, text, _ := strings.Cut(name, " = ")
		var err error
		switch path := filepath.Join(top, file); {
		case isLink:
			path = filepath.Join(top, link)
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = os.Symlink(to, path)
			}
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(path, 0o755)
		default:
			if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
				err = os.WriteFile(path, []byte(text), 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return top
}

// plainUser reports whether the kernel holds the caller to file modes.
func plainUser() bool { return os.Geteuid() != 0 }

// shut changes the mode of a directory for the time of a test.
func shut(t *testing.T, dir string, mode os.FileMode) {
	t.Helper()
	if err := os.Chmod(dir, mode); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Error(err)
		}
	})
}

func looked(t *testing.T, path, term string) Tree {
	t.Helper()
	tree, fd, err := Look(path, term)
	if err != nil {
		t.Fatal(err)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the fd has flags %d, %v", flags, err)
	}
	_ = unix.Close(fd)
	return tree
}

func TestLook(t *testing.T) {
	top := grow(t, "tree/etc/passwd = root:x:0:0::/:/bin/sh\n", "tree/etc/group = root:x:0:\n",
		"tree/usr/share/terminfo/x/xterm", "tree/usr/lib/locale/C.utf8/", "link -> tree")
	var st unix.Stat_t
	if err := unix.Stat(top+"/tree", &st); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(top)
	if err != nil {
		t.Fatal(err)
	}
	want := Tree{
		Path: real + "/tree", Dev: st.Dev, Ino: st.Ino, UID: uint32(os.Getuid()), GID: st.Gid, Mode: 0o755,
		Passwd: []byte("root:x:0:0::/:/bin/sh\n"), Group: []byte("root:x:0:\n"), TermInfo: true, UTF8: true,
	}
	for _, path := range []string{"/tree", "/link", "/tree/", "/tree/../link/."} {
		if got := looked(t, top+path, "xterm"); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v\nwant %+v", path, got, want)
		}
	}
	want.TermInfo = false
	for _, term := range []string{"", "vt100", "../x/xterm", "..", "/", "x/xterm", strings.Repeat("x", 300)} {
		if got := looked(t, top+"/tree", term); !reflect.DeepEqual(got, want) {
			t.Errorf("TERM %q: %+v", term, got)
		}
	}
}

func TestLookAtSparseTrees(t *testing.T) {
	if got := looked(t, grow(t), ""); !got.Empty || got.Passwd != nil || got.Group != nil || got.UTF8 {
		t.Errorf("an empty tree: %+v", got)
	}
	if got := looked(t, grow(t, "a"), ""); got.Empty || got.Passwd != nil {
		t.Errorf("a tree with one file: %+v", got)
	}
	if got := looked(t, grow(t, "etc/passwd"), ""); len(got.Passwd) != 0 || got.Group != nil {
		t.Errorf("a tree with an empty passwd: %+v", got)
	}
	top := grow(t, "a")
	if err := os.Chmod(top, 0o2711|os.ModeSticky|os.ModeSetgid); err != nil {
		t.Fatal(err)
	}
	if got := looked(t, top, ""); got.Mode != 0o3711 {
		t.Errorf("mode %o, want 3711", got.Mode)
	}
}

// Files that are read for names lie inside the tree, whatever links say.
func TestLookFollowsLinksInside(t *testing.T) {
	top := grow(t, "tree/etc/passwd -> /real/passwd", "tree/real/passwd = inside", "tree/etc/group -> ../../../../outside", "outside = secret",
		"tree/outside = group inside")
	if got := looked(t, top+"/tree", ""); string(got.Passwd) != "inside" || string(got.Group) != "group inside" {
		t.Errorf("passwd %q, group %q", got.Passwd, got.Group)
	}
	for _, names := range [][]string{
		{"etc/passwd -> passwd"},   // a loop
		{"etc/passwd -> /nowhere"}, // dangling
		{"etc"},                    // no directory
		{"etc/passwd -> /proc/self/environ", "a"},           // of the host
		{"etc/passwd -> ../../../../../../../../etc/hosts"}, // of the host
	} {
		if got := looked(t, grow(t, names...), ""); got.Passwd != nil {
			t.Errorf("%v: passwd %q", names, got.Passwd)
		}
	}
}

func TestLookRefuses(t *testing.T) {
	top := grow(t, "file", "dangling -> nowhere", "loop -> loop", "closed/etc/passwd = x", "locked/a",
		"big/etc/", "fifo/etc/", "dir/etc/passwd/", "device/etc/")
	if err := os.Truncate(mustCreate(t, top+"/big/etc/passwd"), 1<<30); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(top+"/fifo/etc/passwd", 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		"/missing": unix.ENOENT, "/file": unix.ENOTDIR, "/file/below": unix.ENOTDIR, "/dangling": unix.ENOENT,
		"/big": nil, "/fifo": nil, "/dir": nil,
	} {
		tree, fd, err := Look(top+path, "")
		var pe *fs.PathError
		if err == nil || want != nil && !errors.Is(err, want) || want != nil && !errors.As(err, &pe) {
			t.Errorf("%s: %+v, %v; want %v", path, tree, err, want)
		}
		if fd != -1 {
			t.Errorf("%s: fd %d with an error", path, fd)
		}
	}
	if _, _, err := Look(top+"/loop", ""); err == nil {
		t.Error("a loop of links is a tree")
	}
	if !plainUser() {
		return
	}
	for _, dir := range []string{"/closed", "/locked"} {
		shut(t, top+dir, 0)
		if _, _, err := Look(top+dir, ""); !errors.Is(err, unix.EACCES) {
			t.Errorf("%s, mode 0: %v", dir, err)
		}
	}
	// to enter is enough
	if err := os.Chmod(top+"/closed", 0o111); err != nil {
		t.Fatal(err)
	}
	if got := looked(t, top+"/closed", ""); got.Empty || string(got.Passwd) != "x" {
		t.Errorf("a tree that can be entered: %+v", got)
	}
	// a passwd that the caller may not read is none
	if err := os.Chmod(top+"/closed/etc/passwd", 0); err != nil {
		t.Fatal(err)
	}
	if got := looked(t, top+"/closed", ""); got.Passwd != nil {
		t.Errorf("a passwd that cannot be read: %q", got.Passwd)
	}
}

func mustCreate(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLookTarget(t *testing.T) {
	top := grow(t, "tree/dir/", "tree/file = x", "tree/a/b/",
		"tree/inside -> a/b", "tree/absolute -> /a/b", "tree/escape -> ../../../..", "tree/outside -> /outside",
		"tree/dangling -> a/none", "tree/far -> /run/systemd/resolv.conf", "tree/up -> ../../../run/x",
		"tree/chain -> chain2", "tree/chain2 -> /run/chain3", "tree/loop -> loop", "tree/through -> dir/../a",
		"tree/etc/resolv.conf -> ../run/resolv.conf", "tree/run -> /var/run", "outside/secret")
	tree, fd, err := Look(top+"/tree", "")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	at := func(path string, dir bool) Target { return Target{Exists: true, Dir: dir, Place: path} }
	for path, want := range map[string]Target{
		"/dir":        at("/dir", true),
		"/file":       at("/file", false),
		"/inside":     at("/inside", true),
		"/absolute":   at("/absolute", true),
		"/escape":     at("/escape", true),
		"/escape/dir": at("/escape/dir", true),
		"/through/b":  at("/through/b", true),
		"/none":       {Place: "/none"},
		"/x/y/z":      {Missing: []string{"/x", "/x/y"}, Place: "/x/y/z"},
		"/a/x/y":      {Missing: []string{"/a/x"}, Place: "/a/x/y"},
		"/inside/new": {Place: "/a/b/new"},
		"/dangling":   {Place: "/a/none"},
		"/dangling/x": {Missing: []string{"/a/none"}, Place: "/a/none/x"},
		// dangling, since the links are absolute in the tree
		"/outside":         {Place: "/outside"},
		"/escape/new":      {Place: "/new"},
		"/up":              {Missing: []string{"/var", "/var/run"}, Place: "/var/run/x"},
		"/far":             {Missing: []string{"/var", "/var/run", "/var/run/systemd"}, Place: "/var/run/systemd/resolv.conf"},
		"/chain":           {Missing: []string{"/var", "/var/run"}, Place: "/var/run/chain3"},
		"/etc/resolv.conf": {Missing: []string{"/var", "/var/run"}, Place: "/var/run/resolv.conf"},
		"/run/x":           {Missing: []string{"/var", "/var/run"}, Place: "/var/run/x"},
	} {
		got, err := LookTarget(fd, tree.Path, path)
		if path == "/outside" {
			// a link to itself as the tree sees it
			if err == nil {
				t.Errorf("%s: %+v", path, got)
			}
			continue
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v\nwant %+v", path, got, err, want)
		}
		for _, made := range append(got.Missing, got.Place) {
			if !strings.HasPrefix(made, "/") || strings.Contains(made, "..") {
				t.Errorf("%s: %q is to be made", path, made)
			}
		}
	}
	for path, want := range map[string]error{"/file/x": unix.ENOTDIR, "/file/x/y": unix.ENOTDIR, "/loop": unix.ELOOP, "/loop/x": unix.ELOOP} {
		if got, err := LookTarget(fd, tree.Path, path); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v; want %v", path, got, err, want)
		}
	}
	if _, err := os.Stat(top + "/tree/x"); err == nil {
		t.Error("to look at a target has made it")
	}
}

// What the caller may not see is there: root of the container may.
func TestLookTargetInAClosedDirectory(t *testing.T) {
	if !plainUser() {
		return // root sees all
	}
	top := grow(t, "closed/dir/")
	_, fd, err := Look(top, "")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	shut(t, top+"/closed", 0)
	for path, want := range map[string]Target{
		"/closed/dir":         {Exists: true, Hidden: true, Place: "/closed/dir"},
		"/closed/dir/":        {Exists: true, Hidden: true, Place: "/closed/dir"},
		"/closed/dir/deep/er": {Exists: true, Hidden: true, Missing: []string{"/closed/dir", "/closed/dir/deep"}, Place: "/closed/dir/deep/er"},
	} {
		if got, err := LookTarget(fd, top, path); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
	}
}

func TestLookSource(t *testing.T) {
	top := grow(t, "dir/sub/", "file", "link -> dir/sub", "dangling -> none")
	for path, want := range map[string]Source{
		"/dir": {Dir: true}, "/file": {}, "/link": {Dir: true}, "/link/..": {Dir: true}, "/dir/../file": {},
	} {
		var st unix.Stat_t
		if err := unix.Stat(top+path, &st); err != nil {
			t.Fatal(err)
		}
		want.Path, want.Dev, want.Ino = top+path, st.Dev, st.Ino
		if got, err := LookSource(top + path); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", path, got, err, want)
		}
	}
	if got, err := LookSource("/dev/null"); err != nil || !got.Device || got.Dir {
		t.Errorf("/dev/null: %+v, %v", got, err)
	}
	t.Chdir(top)
	if got, err := LookSource("./link/../sub"); err != nil || got.Path != top+"/./link/../sub" || !got.Dir {
		t.Errorf("a relative path is cleaned: %+v, %v", got, err)
	}
	for path, want := range map[string]error{"/none": unix.ENOENT, "/dangling": unix.ENOENT, "/file/x": unix.ENOTDIR} {
		if got, err := LookSource(top + path); !errors.Is(err, want) {
			t.Errorf("%s: %+v, %v; want %v", path, got, err, want)
		}
	}
}

func TestRemoveEmpty(t *testing.T) {
	for _, c := range []struct {
		name  string
		grown []string
		path  string
		dir   bool
		left  string // what must be there afterwards; with "!" before it, what must not
	}{
		{"an empty directory", []string{"tree/a/b/"}, "/a/b", true, "!tree/a/b"},
		{"its parent stays", []string{"tree/a/b/"}, "/a/b", true, "tree/a"},
		{"a directory with a file", []string{"tree/a/f"}, "/a", true, "tree/a/f"},
		{"a file in the place of a directory", []string{"tree/a"}, "/a", true, "tree/a"},
		{"an empty file", []string{"tree/f"}, "/f", false, "!tree/f"},
		{"a file with text", []string{"tree/f = x"}, "/f", false, "tree/f"},
		{"a directory in the place of a file", []string{"tree/f/"}, "/f", false, "tree/f"},
		{"a link in the place of a file", []string{"tree/f -> g", "tree/g"}, "/f", false, "tree/f"},
		{"and what it points to", []string{"tree/f -> g", "tree/g"}, "/f", false, "tree/g"},
		{"a link in the place of a directory", []string{"tree/d -> e", "tree/e/"}, "/d", true, "tree/e"},
		{"through a link out of the tree", []string{"tree/l -> ../out", "out/d/"}, "/l/d", true, "out/d"},
		{"through a link to the outside", []string{"tree/l -> /out", "tree/out/d/"}, "/l/d", true, "!tree/out/d"},
		{"above the tree", []string{"tree/", "d/"}, "/../d", true, "d"},
		{"nothing there", []string{"tree/"}, "/d", true, "tree"},
		{"no parent there", []string{"tree/"}, "/d/e/f", false, "tree"},
	} {
		t.Run(c.name, func(t *testing.T) {
			top := grow(t, c.grown...)
			if err := RemoveEmpty(top+"/tree", c.path, c.dir); err != nil {
				t.Error(err)
			}
			name, gone := strings.CutPrefix(c.left, "!")
			if _, err := os.Lstat(top + "/" + name); (err != nil) != gone {
				t.Errorf("%s: %v", c.left, err)
			}
		})
	}
	if err := RemoveEmpty(t.TempDir()+"/none", "/d", true); !errors.Is(err, unix.ENOENT) {
		t.Errorf("in no tree: %v", err)
	}
	if plainUser() {
		top := grow(t, "tree/d/")
		shut(t, top+"/tree", 0o555)
		if err := RemoveEmpty(top+"/tree", "/d", true); err != nil {
			t.Errorf("in a directory of the caller's that may not be written: %v", err)
		}
		if st, err := os.Stat(top + "/tree"); err != nil || st.Mode().Perm() != 0o555 {
			t.Errorf("its mode is %v afterwards, %v", st.Mode(), err)
		}
		if err := RemoveEmpty("/", "/usr/bin", true); !errors.Is(err, unix.EACCES) {
			t.Errorf("in a directory of somebody else: %v", err)
		}
	}
}
