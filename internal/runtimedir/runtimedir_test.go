package runtimedir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// private is a directory as XDG_RUNTIME_DIR is one.
func private(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// open opens the directory and returns its path.
func open(t *testing.T, d *Dir) string {
	t.Helper()
	fd, path, err := d.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	if int(st.Uid) != os.Getuid() || st.Mode&0o7777 != 0o700 {
		t.Errorf("%s: owner %d, mode %#o", path, st.Uid, st.Mode)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	return path
}

// shared stands for /tmp alone.
func shared(parent string) *Dir {
	return &Dir{uid: os.Getuid(), places: []place{{parent, "rl-run-1", false}}}
}

func TestPlaces(t *testing.T) {
	first, second := private(t), private(t)
	places := func() *Dir {
		return &Dir{uid: os.Getuid(), places: []place{{first, "rl-run", true}, {second, "rl-run", true}, {t.TempDir(), "x", false}}}
	}
	d := places()
	if _, _, err := d.Find(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Find: %v", err)
	}
	if got := open(t, d); got != first+"/rl-run" {
		t.Error(got)
	}
	fd, path, err := d.Find()
	if err != nil || path != first+"/rl-run" {
		t.Errorf("Find: %s, %v", path, err)
	}
	unix.Close(fd)
	for _, spoil := range []func(string) error{
		func(dir string) error { return os.Chmod(dir, 0o777) }, // others may write there
		func(dir string) error { return os.RemoveAll(dir) },
		func(dir string) error { return os.WriteFile(dir, nil, 0o600) },
	} {
		if err := spoil(first); err != nil {
			t.Fatal(err)
		}
		if got := open(t, places()); got != second+"/rl-run" {
			t.Error(got)
		}
	}
	if d := New("run", 7); len(d.places) != 2 || d.places[0].parent != "/run/user/7" || d.places[1].path() != "/tmp/rl-run-7" {
		t.Errorf("%+v", d.places)
	}
}

// Whoever takes the last place's name in /tmp is in nobody's way who has a better place, which has still to be made.
func TestTakenName(t *testing.T) {
	first, last := private(t), private(t)
	if err := os.Mkdir(last+"/x", 0o700); err != nil {
		t.Fatal(err)
	}
	d := &Dir{uid: 12345, places: []place{{first, "rl-run", false}, {last, "x", false}}}
	if _, _, err := d.Find(); !errors.Is(err, unix.ENOENT) {
		t.Errorf("Find: %v", err)
	}
	d.places = d.places[1:]
	var foreign *OwnerError
	if _, _, err := d.Find(); !errors.As(err, &foreign) {
		t.Errorf("Find without a better place: %v", err)
	}
}

func TestHeals(t *testing.T) {
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.Mkdir(victim, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(string) error{
		"a link":            func(p string) error { return os.Symlink(victim, p) },
		"a dangling link":   func(p string) error { return os.Symlink("/nowhere", p) },
		"a file":            func(p string) error { return os.WriteFile(p, nil, 0o600) },
		"a FIFO":            func(p string) error { return unix.Mkfifo(p, 0o600) },
		"no rights":         func(p string) error { return os.Mkdir(p, 0) },
		"others may read":   func(p string) error { return errors.Join(os.Mkdir(p, 0), os.Chmod(p, 0o755)) },
		"a set-group-ID":    func(p string) error { return errors.Join(os.Mkdir(p, 0o700), os.Chmod(p, 0o700|os.ModeSetgid)) },
		"broken twice over": func(p string) error { return errors.Join(os.Symlink("x", p), os.Symlink("y", p+".broken")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := private(t)
			d := &Dir{uid: os.Getuid(), places: []place{{dir, "rl-run", true}}}
			if err := spoil(dir + "/rl-run"); err != nil {
				t.Fatal(err)
			}
			open(t, d)
			if err := spoil(dir + "/rl-run/c"); err != nil {
				t.Fatal(err)
			}
			fd, path, err := d.Sub("c", true)
			if err != nil || path != dir+"/rl-run/c" {
				t.Fatalf("%s, %v", path, err)
			}
			unix.Close(fd)
		})
	}
	if st, err := os.Stat(victim); err != nil || st.Mode().Perm() != 0o755 {
		t.Errorf("%v, %v", st, err)
	}
}

// What others have made or could have written to is not used.
func TestRefuses(t *testing.T) {
	tmp := t.TempDir()
	if err := errors.Join(os.Mkdir(tmp+"/rl-run-1", 0), os.Chmod(tmp+"/rl-run-1", 0o770)); err != nil {
		t.Fatal(err)
	}
	var mode *ModeError
	if _, _, err := shared(tmp).Open(); !errors.As(err, &mode) || mode.Hint() != "rm -rf "+tmp+"/rl-run-1" {
		t.Errorf("%v", err)
	}

	// Whose uid is another one's, root's directories are foreign.
	foreign := func(parent, name string) error {
		_, _, err := (&Dir{uid: 12345, places: []place{{parent, name, false}}}).Open()
		return err
	}
	var owner *OwnerError
	if err := foreign("/", "etc"); !errors.As(err, &owner) || owner.UID != 0 || !strings.Contains(err.Error(), "use //etc for state: it belongs to user root (0)") {
		t.Errorf("%v", err)
	}
	links := t.TempDir()
	if err := os.Symlink(tmp, links+"/link"); err != nil {
		t.Fatal(err)
	}
	if err := foreign(links, "link"); !errors.As(err, &owner) || !owner.Link || !strings.Contains(err.Error(), "the symbolic link belongs to") {
		t.Errorf("%v", err)
	}
	if _, err := os.Lstat(links + "/link"); err != nil {
		t.Error(err)
	}
}

// One removes the directory whenever it is empty, and others need it.
func TestTidyRace(t *testing.T) {
	d := &Dir{uid: os.Getuid(), places: []place{{private(t), "rl-run", true}}}
	stop := make(chan struct{})
	var tidy, group sync.WaitGroup
	tidy.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				d.Tidy("c")
			}
		}
	})
	for range 4 {
		group.Go(func() {
			for range 500 {
				fd, _, err := d.Sub("c", true)
				if err != nil {
					t.Error(err)
					return
				}
				unix.Close(fd)
			}
		})
	}
	group.Wait()
	close(stop)
	tidy.Wait()
}

func TestExposes(t *testing.T) {
	top := t.TempDir()
	run := top + "/a/run"
	for _, dir := range []string{run, top + "/other", top + "/a/beside"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := &Dir{uid: os.Getuid(), places: []place{{run, "rl-run", true}}}
	for path, to := range map[string]string{top + "/link": run, top + "/up": "..", run + "/file-link": top + "/a/run/rl-run/c/f"} {
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	check := func(want map[string]bool) {
		t.Helper()
		for src, exposed := range want {
			got, err := d.Exposes(src)
			if err != nil || got != exposed {
				t.Errorf("%s: %v, %v, want %v", src, got, err, exposed)
			}
		}
	}
	always := map[string]bool{
		"/": true, top: true, run: true, top + "/a": true, top + "/link": true, top + "/up": true, run + "/..": true,
		top + "/other": false, top + "/a/beside": false, "/dev": false, "/dev/null": false, "/etc/passwd": false,
	}
	check(always) // before the directory is there
	fd, _, err := d.Sub("c", true)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	if err := os.WriteFile(run+"/rl-run/c/f", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(run+"/bus", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check(always)
	check(map[string]bool{
		run + "/rl-run": true, run + "/rl-run/c": true, run + "/rl-run/c/f": true, run + "/file-link": true, run + "/bus": false,
	})
	if _, err := d.Exposes(top + "/nowhere"); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}
