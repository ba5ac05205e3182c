package runtimedir

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// A place before the one in use that a container could make, or make fit: whoever has a directory above it.
func TestGives(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{top + "/a/b", top + "/other", top + "/far/run", top + "/last/d", top + "/after"} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	for path, to := range map[string]string{
		top + "/a/dangling": "../other/run", top + "/a/far": top + "/far", top + "/up": "a/..", top + "/a/loop": "loop",
	} {
		if err := os.Symlink(to, path); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(top+"/a/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(first string, want map[string]bool) {
		t.Helper()
		d := &Dir{uid: os.Getuid(), places: []place{{first, "rl-run", true}, {top + "/last", "d", false}, {top + "/after", "d", false}}}
		for _, src := range []string{"/", top, top + "/a", top + "/a/b", top + "/other", top + "/far", top + "/last", top + "/last/d", top + "/after", "/etc", "/dev/null"} {
			got, err := d.Gives(src)
			if err != nil || (got != "") != want[src] {
				t.Errorf("%s, with %s before: %q, %v, want %v", src, first, got, err, want[src])
			}
		}
	}
	with := func(more ...string) map[string]bool {
		m := map[string]bool{"/": true, top: true}
		for _, path := range more {
			m[path] = true
		}
		return m
	}
	last := top + "/last"
	check(top+"/a/missing", with(last, top+"/a"))
	check(top+"/a/missing/further/../down", with(last, top+"/a"))
	check(top+"/a/file", with(last, top+"/a"))
	check(top+"/a/loop", with(last, top+"/a"))
	check(top+"/a/dangling", with(last, top+"/a", top+"/other"))
	check(top+"/a/dangling/run", with(last, top+"/a", top+"/other"))
	check(top+"/up/other/run", with(last, top+"/other"))

	// Fit for use, it is the one in use, present or not: those after it do not count, but a link on the way does.
	check(top+"/far/run", with(top+"/far"))
	check(top+"/a/far/run", with(top+"/a", top+"/far"))

	// Present, but unfit, as with umask 002: its owner can change that.
	if err := os.Mkdir(top+"/a/b/rl-run", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o775, 0} {
		if err := os.Chmod(top+"/a/b", mode); err != nil {
			t.Fatal(err)
		}
		check(top+"/a/b", with(last, top+"/a", top+"/a/b"))
	}
	if err := os.Chmod(top+"/a/b", 0o775); err != nil {
		t.Fatal(err)
	}
	d := &Dir{uid: os.Getuid(), places: []place{{top + "/a/b", "rl-run", true}}}
	if got, err := d.Gives(top + "/a/b/rl-run"); err != nil || got != top+"/a/b/rl-run" {
		t.Errorf("what lies in an unfit place: %q, %v", got, err)
	}
	if _, err := d.Gives(top + "/nowhere"); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}

// /run/user/UID, as it mostly is missing without a session: nobody but root could make it.
func TestGivesNothingOfRoots(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root can make it")
	}
	for _, missing := range []string{"/sys/user/7", "/proc/sys/user/7/more"} { // root's everywhere
		d := &Dir{uid: os.Getuid(), places: []place{{missing, "rl-run", true}, {private(t), "rl-run", true}}}
		for _, src := range []string{"/", "/sys", "/proc", "/proc/sys"} {
			if got, err := d.Gives(src); err != nil || got != "" && src != "/" {
				t.Errorf("%s, with %s missing: %q, %v", src, missing, got, err)
			}
		}
	}
}
