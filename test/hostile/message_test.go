package hostile

import (
	"os"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// evilName is a name that pretends to be a message, moves the cursor and changes the terminal's title.
const evilName = "x\nrl-run: error: all is well\r\x1b[2J\x1b]0;title\a\u009b31m\u202egpj"

// harmless checks that a text of rl-run cannot act upon a terminal, nor pretend to be a message of its own.
func harmless(t *testing.T, what, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); strings.HasPrefix(line, "rl-run: error: all is well") {
			t.Errorf("%s: a line of its own: %q", what, text)
		}
		for _, r := range line {
			if r < ' ' && r != '\t' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e {
				t.Errorf("%s: %U in %q", what, r, line)
			}
		}
	}
}

// TestMessages brings the name into each message that can be had.
func TestMessages(t *testing.T) {
	tree := begin(t)
	dir := t.TempDir()
	evil := dir + "/" + evilName
	write(t, evil, evilName+"\n=\n")
	shell := trial.NewTree(t)
	write(t, shell+"/bin/"+evilName, "#!/nowhere/"+evilName+"\n")
	check(t, os.Chmod(shell+"/bin/"+evilName, 0o755))
	write(t, shell+"/etc/passwd", "root:x:0:0:"+evilName+":/"+evilName+":/bin/"+evilName+"\n")
	looped := trial.NewTree(t)
	link(t, evilName, looped+"/mnt/"+evilName)

	for what, args := range map[string][]string{
		"ROOTFS":           {dir + "/none" + evilName, "true"},
		"ROOTFS, a file":   {evil, "true"},
		"command":          {tree, evilName},
		"command, a path":  {tree, "/" + evilName},
		"interpreter":      {shell, "/bin/" + evilName},
		"-v":               {"-v", dir + "/none" + evilName + ":/x", tree, "true"},
		"-v, target":       {"-v", dir + ":/etc/passwd/" + evilName, tree, "true"},
		"--tmpfs":          {"--tmpfs", "/etc/passwd/" + evilName, tree, "true"},
		"--mount":          {"--mount", "type=" + evilName, tree, "true"},
		"--device":         {"--device", evil, tree, "true"},
		"-w":               {"-w", "/etc/passwd/" + evilName, tree, "true"},
		"-u":               {"-u", evilName, tree, "true"},
		"-e":               {"-e", "=" + evilName, tree, "true"},
		"--env-file":       {"--env-file", evil, tree, "true"},
		"--env-file, none": {"--env-file", dir + "/none" + evilName, tree, "true"},
		"--name":           {"--name", evilName, tree, "true"},
		"--hostname":       {"--hostname", evilName, tree, "true"},
		"--net":            {"--net", evilName, tree, "true"},
		"--ip":             {"--net=x", "--ip", evilName, tree, "true"},
		"--network-alias":  {"--net=x", "--network-alias", evilName, tree, "true"},
		"--dns-search":     {"--dns-search", evilName, tree, "true"},
		"--dns-option":     {"--dns-option", evilName, tree, "true"},
		"--pid":            {"--pid", "container:" + evilName, tree, "true"},
		"--cap-add":        {"--cap-add", evilName, tree, "true"},
		"--security-opt":   {"--security-opt", evilName, tree, "true"},
		"seccomp":          {"--security-opt", "seccomp=" + evil, tree, "true"},
		"seccomp, none":    {"--security-opt", "seccomp=" + dir + "/none" + evilName, tree, "true"},
		"--keep":           {"--keep", evil, tree, "true"},
		"--uidmap":         {"--uidmap", evilName, tree, "true"},
		"-p":               {"-p", evilName, tree, "true"},
		"--memory":         {"--memory", evilName, tree, "true"},
		"option":           {"--" + evilName, tree, "true"},
		"a link to itself": {"--tmpfs", "/mnt/" + evilName, looped, "true"},
		"--add-host":       {"--add-host", evilName, tree, "true"},
		"-V":               {"-V", "-v", evil + ":/" + strings.ReplaceAll(evilName, ":", ""), tree, "true"},
	} {
		r := trial.Run(t, args...)
		if r.Stderr == "" || r.Code == 0 && what != "-V" {
			t.Errorf("%s: no message: %+v", what, r)
		}
		harmless(t, what, r.Stderr)
	}

	// What is listed of a container that runs.
	trial.Run(t, "-d", "--quiet", "--net=none", "--name", "messages", "-e", "X="+evilName, tree, "sh", "-c", "exec sleep 1000", evilName).OK(t)
	for _, words := range [][]string{
		{"rl-ps"},
		{"rl-ps", "--ns"},
		{"rl-inspect", "messages"},
		{"rl-inspect", evilName},
		{"rl-logs", evilName},
		{"rl-stop", evilName},
		{"rl-exec", evilName, "true"},
		{"rl-exec", "messages", "/" + evilName},
		{"rl-exec", "-u", evilName, "messages", "true"},
		{"rl-exec", "-w", "/" + evilName, "messages", "true"},
		{"rl-kill", "-s", evilName, "messages"},
		{"rl-wait", evilName},
		{"rl-rm", evilName},
	} {
		r := trial.Command{Path: trial.Bin(t, words[0]), Args: words[1:]}.Run(t)
		if r.Stdout+r.Stderr == "" {
			t.Errorf("%q: no message", words)
		}
		harmless(t, words[0], r.Stdout+r.Stderr)
	}
	trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "messages"}}.Run(t).OK(t)

	r := trial.Command{Path: trial.NeedTool(t, "bwrap"), Args: []string{"--ro-bind", dir + "/none" + evilName, "/", "true"}}.Run(t)
	if !strings.Contains(r.Stderr, "\nrl-run: error: all is well\r\x1b[2J") {
		t.Errorf("control: %q", r.Stderr)
	}
}

// TestOneLayerForTwo has two containers with the same --keep: the second is refused. By hand, the kernel
// mounts an upper layer twice, and what comes of it is undefined (overlayfs.rst): the second changes what the first has, or breaks it.
func TestOneLayerForTwo(t *testing.T) {
	tree := begin(t)
	dir := t.TempDir() + "/layers"
	lead := rooted(t)
	t.Cleanup(func() {
		trial.Command{Path: lead[0], Args: append(lead[1:], "rm", "-rf", dir)}.Run(t).OK(t)
	})
	trial.Run(t, "-d", "--quiet", "--net=none", "--name", "first", "--keep", dir, tree, "sh", "-c", "echo first >/root/file; sleep 1000").OK(t)
	for n := range 6 {
		options := []string{"--keep", dir}
		if n%2 == 1 {
			options = append(options, unconfined...)
		}
		r := trial.Run(t, script(options, tree, "echo second >/root/file")...)
		if !refused(r) || !strings.Contains(r.Stderr, "in use") {
			t.Errorf("%+v", r)
		}
	}
	got := trial.Command{Path: trial.Bin(t, "rl-exec"), Args: []string{"first", "cat", "/root/file"}}.Run(t).OK(t)
	if got != "first" {
		t.Errorf("the file of the first container says %q", got)
	}
	trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "first"}}.Run(t).OK(t)

	const text = `mount -t tmpfs tmpfs /mnt; cd /mnt; mkdir upper work one two; chmod 755 upper
		for d in one two; do mount -t overlay -o "userxattr,lowerdir=$1,upperdir=upper,workdir=work" overlay $d; done
		{ echo one >one/root/file; echo two >two/root/file; cat one/root/file; } 2>/dev/null || echo broken`
	got = trial.Command{Path: lead[0], Args: append(lead[1:], "sh", "-c", text, "sh", tree)}.Run(t).OK(t)
	if got == "one" {
		t.Error("control: the file of the first overlay is as it was written")
	}
}
