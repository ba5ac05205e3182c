package vm

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// module is the import path of the module, and root its directory, seen from here.
const (
	module = "github.com/rl-run/rl-run"
	root   = "../.."
)

// makeDisk makes the image of the guest's second disk.
func makeDisk(t *testing.T, jobs []Job) string {
	t.Helper()
	stage := filepath.Join(t.TempDir(), "stage")
	text, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(stage, JobsFile), text)
	compile(t, "build", filepath.Join(stage, "agent"), "test/vm/agent")
	for _, j := range jobs {
		program := filepath.Join(stage, "tests", strings.ReplaceAll(j.Package, "/", ".")+".test")
		if _, err := os.Stat(program); err != nil {
			compile(t, "test", program, j.Package)
		}
		// Tests run in the folder of their package, and find the module's root above it.
		dir := filepath.Join(stage, "src", j.Package)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if data := filepath.Join(root, j.Package, "testdata"); exists(data) {
			clone(t, data, filepath.Join(dir, "testdata"))
		}
	}
	for _, name := range []string{"go.mod", "scripts"} {
		clone(t, filepath.Join(root, name), filepath.Join(stage, "src", name))
	}
	clone(t, filepath.Dir(trial.Bin(t, "rl-run")), filepath.Join(stage, "bin"))
	clone(t, trial.Tree(t, "busybox"), filepath.Join(stage, "trees", "busybox"))

	// In the map of containers the files belong to root, as they then do on the disk.
	disk := filepath.Join(t.TempDir(), "disk")
	trial.Command{Path: trial.Bin(t, "rl-unshare"), Args: []string{
		"mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", stage, disk, "1G",
	}}.Run(t).OK(t)
	return disk
}

// compile makes a static program of a package, or of its tests.
func compile(t *testing.T, verb, target, pkg string) {
	t.Helper()
	args := []string{verb, "-tags=guest", "-ldflags=-s -w", "-o", target}
	if verb == "test" {
		args = append(args, "-c")
	}
	c := exec.CommandContext(t.Context(), "go", append(args, module+"/"+pkg)...)
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH=amd64")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("compile %s: %v\n%s", pkg, err, out)
	}
}

func put(t *testing.T, name string, text []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// clone copies files and links with their modes.
func clone(t *testing.T, source, target string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "cp", "-R", "-P", "-p", source, target).CombinedOutput(); err != nil {
		t.Fatalf("cp %s: %v: %s", source, err, out)
	}
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
