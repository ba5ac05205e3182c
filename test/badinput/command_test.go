package badinput

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// elf is the header of a program for a processor that nobody has.
const elf = "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xfe\xca\x01\x00\x00\x00"

func TestCommands(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	path := func(name string) string { return filepath.Join(tree, name) }
	write(t, path("opt/text"), "no program\n", 0o755)
	write(t, path("opt/locked"), "#!/bin/sh\n", 0o644)
	write(t, path("opt/script"), "#!/bin/nowhere\n", 0o755)
	write(t, path("opt/foreign"), elf, 0o755)
	write(t, path("opt/empty"), "", 0o755)
	must(t, os.MkdirAll(path("opt/dir"), 0o755))
	must(t, os.Symlink("loop", path("opt/loop")))
	const elfHint = "a script needs a first line like #!/bin/sh"
	try(t, tree, []row{
		{line: "TREE nonsense", code: 127, error: "exec nonsense: command not found"},
		{line: "--entrypoint nonsense TREE true", code: 127, error: "exec nonsense: command not found"},
		{line: "TREE /opt/nonsense", code: 127, error: "exec /opt/nonsense: no such file, or its interpreter is missing"},
		{line: "TREE ./nonsense", code: 127, error: "exec ./nonsense: no such file, or its interpreter is missing"},
		{line: "TREE /opt/text/x", code: 127, error: "exec /opt/text/x: no such file, or its interpreter is missing"},
		{line: "TREE /opt/script", code: 127, error: "exec /opt/script: no such file, or its interpreter is missing"},
		{line: "TREE /opt/dir", code: 126, error: "exec /opt/dir: not executable (…"},
		{line: "TREE /opt/locked", code: 126, error: "exec /opt/locked: not executable (…"},
		{line: "TREE /opt/text", code: 126, error: "exec /opt/text: not executable (exec format error)", hint: elfHint},
		{line: "TREE /opt/foreign", code: 126, error: "exec /opt/foreign: not executable (exec format error)", hint: elfHint},
		{line: "TREE /opt/empty", code: 126, error: "exec /opt/empty: not executable (exec format error)", hint: elfHint},
		{line: "TREE /opt/loop", code: 126, error: "exec /opt/loop: too many levels of symbolic links"},
		{line: "-e PATH=/opt TREE locked", code: 126, error: "exec locked: not executable (permission denied)"},
		{line: "-e PATH=/opt TREE sh", code: 127, error: "exec sh: command not found"},
		{line: "-w /opt TREE ./locked", code: 126, error: "exec ./locked: not executable (…"},
		{line: "TREE ''", code: 127, error: `exec "": command not found`},
		{line: "TREE /" + strings.Repeat("x", 300), code: 126, error: "exec /xxx…"},
	})
	for _, name := range []string{"no\nrl-run: error: such", "\x1b[31mred"} {
		refused(t, trial.Run(t, tree, name), 127, "exec …", "")
	}
}

// TestTooBig passes more than execve(2) takes.
func TestTooBig(t *testing.T) {
	tree := begin(t)
	// A hundred kilobytes is the most that one argument may have.
	long := strings.Repeat("x", 120<<10)
	many := append([]string{"--quiet", tree, "true"}, make([]string, 15)...)
	for i := range many[3:] {
		many[3+i] = long
	}
	trial.Run(t, many...).OK(t)
	// The launcher itself could not be started with more: -e names the variables of a file.
	file := write(t, filepath.Join(t.TempDir(), "env"), "A="+strings.Repeat("x", 200<<10)+"\n", 0o644)
	refused(t, trial.Run(t, "--env-file", file, tree, "true"), 126, "exec true: argument list too long", "ulimit -s")
	var b strings.Builder
	for i := range 9 {
		b.WriteString(strings.Repeat(string(rune('A'+i)), 100<<10) + "=" + "\n")
	}
	file = write(t, filepath.Join(t.TempDir(), "env"), b.String(), 0o644)
	args := append([]string{"--env-file", file}, many...)
	refused(t, trial.Run(t, args...), 126, "exec true: argument list too long", "ulimit -s")
}

func TestFullTmpfs(t *testing.T) {
	tree := begin(t)
	const full = "the tmpfs is full: give it more with --size"
	try(t, tree, []row{
		{line: "--size 4k TREE true", error: "mount own /etc/hostname: no space left on device (step …", hint: full},
		{line: "--size 1 TREE true", error: "mount own /etc/hostname: no space left on device (step …", hint: full},
		{line: "--copy --size 1m TREE true", error: "copy " + tree + ": …", hint: "give the tmpfs more with --size"},
		{line: "--copy --size 4k TREE true", error: "copy " + tree + ": …", hint: "give the tmpfs more with --size"},
	})
}
