package trial

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
)

// once keeps what was made for the whole test program, by name.
var once struct {
	sync.Mutex
	made map[string]result
}

type result struct {
	path string
	err  error
}

// memo returns what made name before, or runs f for it.
func memo(name string, f func() (string, error)) (string, error) {
	once.Lock()
	defer once.Unlock()
	r, ok := once.made[name]
	if !ok {
		r.path, r.err = f()
		if once.made == nil {
			once.made = map[string]result{}
		}
		once.made[name] = r
	}
	return r.path, r.err
}

// Bin returns the absolute path of one of the project's programs: the one in
// RLRUN_BIN, else one that is built from this source tree, static as in a release.
// A name that has no folder in cmd/ is a link to rl-run, its other name.
func Bin(tb testing.TB, name string) string {
	tb.Helper()
	path, err := memo("bin/"+name, func() (string, error) { return program(name) })
	if err != nil {
		tb.Fatalf("program %s: %v", name, err)
	}
	return path
}

func program(name string) (string, error) {
	if dir := os.Getenv("RLRUN_BIN"); dir != "" {
		path, err := filepath.Abs(filepath.Join(dir, name))
		if err != nil {
			return "", err
		}
		_, err = os.Stat(path)
		return path, err
	}
	module, err := moduleRoot()
	if err != nil {
		return "", err
	}
	dir, err := workDir("bin")
	if err != nil {
		return "", err
	}
	target, source := name, filepath.Join(module, "cmd", name)
	if _, err := os.Stat(source); errors.Is(err, fs.ErrNotExist) {
		target, source = "rl-run", filepath.Join(module, "cmd", "rl-run")
	}
	path := filepath.Join(dir, target)
	if _, err := os.Stat(path); err != nil {
		build := exec.Command("go", "build", "-o", path, source)
		if target == "rl-run" && runtime.GOARCH == "amd64" { // as the Makefile has it
			build = exec.Command("go", "build", "-ldflags", "-E github.com/rl-run/rl-run/internal/entry.Start", "-o", path, source)
		}
		build.Dir = module
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := run(build); err != nil {
			return "", err
		}
	}
	if target == name {
		return path, nil
	}
	path = filepath.Join(dir, name)
	return path, os.Symlink(target, path)
}

// Tree returns the absolute path of a root file system that all tests of the program
// share, and that none may write to: RLRUN_TREES/name. "busybox" is made where there is
// none; any other is a reason to skip.
func Tree(tb testing.TB, name string) string {
	tb.Helper()
	if dir := os.Getenv("RLRUN_TREES"); dir != "" {
		path, err := filepath.Abs(filepath.Join(dir, name))
		if err != nil {
			tb.Fatal(err)
		}
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	if name != "busybox" {
		Skip(tb, "the test needs a %s tree in the directory that RLRUN_TREES names (scripts/mkrootfs %[1]s DIR)", name)
	}
	path, err := memo("tree/"+name, func() (string, error) {
		dir, err := workDir("trees")
		if err != nil {
			return "", err
		}
		path := filepath.Join(dir, name)
		return path, makeBusybox(path)
	})
	if err != nil {
		tb.Fatalf("tree %s: %v", name, err)
	}
	return path
}

// NewTree makes a busybox tree for this test alone, which may change it.
func NewTree(tb testing.TB) string {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "busybox")
	if err := makeBusybox(path); err != nil {
		tb.Fatalf("tree busybox: %v", err)
	}
	return path
}

func makeBusybox(path string) error {
	module, err := moduleRoot()
	if err != nil {
		return err
	}
	return run(exec.Command("sh", filepath.Join(module, "scripts", "mkrootfs"), "busybox", path))
}

// run runs a command of the host; what it says becomes part of the error.
func run(c *exec.Cmd) error {
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(c.Args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}

// moduleRoot is the directory of go.mod: tests run in the folder of their package.
func moduleRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", &os.PathError{Op: "find go.mod above", Path: start, Err: fs.ErrNotExist}
		}
	}
}

// workDir makes a directory that is removed when the test program ends.
func workDir(name string) (string, error) {
	work := os.Getenv(workEnv)
	if work == "" {
		return "", errors.New("the tests do not run under trial.Tests: call it in TestMain")
	}
	dir := filepath.Join(work, name)
	return dir, os.MkdirAll(dir, 0o755)
}

// removeAll removes a tree in which directories may have lost their write permission.
func removeAll(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	_ = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			return os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}
