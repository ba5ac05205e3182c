package badinput

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestSeccompFile(t *testing.T) {
	tree := begin(t)
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	must(t, unix.Mkfifo(path("fifo"), 0o644))
	sparse(t, path("huge"))
	write(t, path("text"), "{\n  nonsense\n}", 0o644)
	write(t, path("empty"), "", 0o644)
	write(t, path("list"), "[]", 0o644)
	write(t, path("action"), `{"defaultAction": "SCMP_ACT_EXPLODE"}`, 0o644)
	write(t, path("locked"), "{}", 0)
	for name, want := range map[string]string{
		path("nowhere"): "open " + path("nowhere") + ": no such file or directory",
		path("locked"):  "open " + path("locked") + ": permission denied",
		path("fifo"):    "read " + path("fifo") + ": not a regular file",
		path("huge"):    "read " + path("huge") + ": larger than 1 MiB",
		path("text"):    "parse " + path("text") + ": line 2: …",
		path("empty"):   "parse " + path("empty") + ": …",
		path("list"):    "parse " + path("list") + ": …",
		path("action"):  "parse " + path("action") + ": …",
		dir:             "read " + dir + ": not a regular file",
		"/dev/zero":     "read /dev/zero: not a regular file",
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			refused(t, trial.Run(t, "--security-opt", "seccomp="+name, tree, "true"), 125, want, "")
		})
	}
}

// TestEnvFile reads what a caller may name by mistake.
func TestEnvFile(t *testing.T) {
	tree := begin(t)
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	must(t, unix.Mkfifo(fifo, 0o644))
	huge := sparse(t, filepath.Join(dir, "huge"))
	bad := write(t, filepath.Join(dir, "bad"), "A=b\n=c\n", os.FileMode(0o644))
	nul := write(t, filepath.Join(dir, "nul"), "A=b\x00c\n", os.FileMode(0o644))
	for name, want := range map[string]string{
		fifo: "read " + fifo + ": not a regular file",
		huge: "read " + huge + ": larger than 1 MiB",
		bad:  `-e "=c": expected NAME=VALUE or NAME`,
		nul:  `start a container: "A=b\x00c" has a NUL byte`,
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			refused(t, trial.Run(t, "--env-file", name, tree, "true"), 125, want, "")
		})
	}
}
