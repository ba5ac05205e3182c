package copytree

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// All tests run as root of a user namespace with a mount namespace of its own,
// which is what a copy is made in. TestMain enters it by starting the test
// binary again, so whatever a test mounts is gone with the process.
const (
	insideEnv = "COPYTREE_INSIDE" // set in the namespaces
	nestedEnv = "COPYTREE_NESTED" // set in a test that nested started again
	nestedSrc = "COPYTREE_SOURCE" // the directory given to nested
)

// outside is why there are no namespaces.
var outside error

func TestMain(m *testing.M) {
	if os.Getenv(lowLimitEnv) != "" {
		copyWithLowLimit()
	}
	if os.Getenv(insideEnv) != "" {
		os.Exit(m.Run())
	}
	cmd, err := namespaces()
	if err != nil {
		outside = err
		os.Exit(m.Run())
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	if err := cmd.Run(); err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
			os.Exit(exit.ExitCode())
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// namespaces returns the command that runs this binary again with the caller as
// root and 65535 subordinate ids above.
func namespaces() (*exec.Cmd, error) {
	if os.Geteuid() == 0 {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.SysProcAttr = newNamespaces([]extent{{0, 0, 1}, {1, 100000, 65535}})
		return cmd, nil
	}
	enter := []string{"--user", "--map-auto", "--map-root-user", "--mount", "--propagation", "private", "--kill-child"}
	if out, err := exec.Command("unshare", append(enter, "true")...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("unshare with subordinate ids: %w: %s", err, strings.TrimSpace(string(out)))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return exec.Command("unshare", append(append(enter, "--", self), os.Args[1:]...)...), nil
}

// extent is a line of an id map: size ids from inside on stand for those from
// outside on.
type extent struct{ inside, outside, size int }

// newNamespaces starts a process as root of a user namespace with the given map
// and in a mount namespace of its own.
func newNamespaces(ids []extent) *unix.SysProcAttr {
	attr := &unix.SysProcAttr{
		Cloneflags:                 unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		GidMappingsEnableSetgroups: true,
		Pdeathsig:                  unix.SIGKILL,
	}
	attr.UidMappings = slices.Grow(attr.UidMappings, len(ids))[:len(ids)]
	for i, e := range ids {
		m := &attr.UidMappings[i]
		m.ContainerID, m.HostID, m.Size = e.inside, e.outside, e.size
	}
	attr.GidMappings = attr.UidMappings
	return attr
}

// needNamespaces ends a test that cannot mount.
func needNamespaces(t testing.TB) {
	t.Helper()
	switch {
	case outside == nil:
	case os.Getenv("RLRUN_NO_SKIP") != "":
		t.Fatal(outside)
	default:
		t.Skip(outside)
	}
}

// nested runs the calling test again, alone, as root of a further user namespace
// with the given map, and reports whether this is that run. It finds the
// directory src in nestedSrc.
func nested(t *testing.T, ids []extent, src string) bool {
	t.Helper()
	if os.Getenv(nestedEnv) == t.Name() {
		return true
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+strings.ReplaceAll(t.Name(), "/", "$/^")+"$", "-test.v")
	cmd.Env = append(os.Environ(), nestedEnv+"="+t.Name(), nestedSrc+"="+src)
	cmd.SysProcAttr = newNamespaces(ids)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a namespace with the map %v: %v\n%s", ids, err, out)
	}
	return false
}

// mountAt mounts a filesystem on a new directory until the test ends.
func mountAt(t testing.TB, fstype, options string) string {
	t.Helper()
	needNamespaces(t)
	dir := t.TempDir()
	mountOn(t, dir, fstype, options)
	return dir
}

func mountOn(t testing.TB, dir, fstype, options string) {
	t.Helper()
	if err := unix.Mount("test", dir, fstype, 0, options); err != nil {
		t.Fatalf("mount %s: %v", fstype, err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}

// tmpfs mounts an empty tmpfs.
func tmpfs(t testing.TB, options string) string {
	t.Helper()
	return mountAt(t, "tmpfs", options)
}

// openPath opens a directory for the test's time, as callers of Copy do.
func openPath(t testing.TB, dir string) int {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatalf("open %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// copyDir copies src to dst by their paths.
func copyDir(t testing.TB, src, dst string, o Options) (Stats, error) {
	t.Helper()
	return Copy(openPath(t, src), openPath(t, dst), o)
}

// mustCopy copies src to a new tmpfs and returns where that is.
func mustCopy(t testing.TB, src string) (string, Stats) {
	t.Helper()
	dst := tmpfs(t, "")
	st, err := copyDir(t, src, dst, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return dst, st
}

// must ends the test for an error of its preparations.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// writeFile makes a file with its directories.
func writeFile(t testing.TB, path, contents string) string {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(contents), 0o644))
	return path
}
