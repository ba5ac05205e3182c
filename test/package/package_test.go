package pack

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

// commands have manual pages, and but for the last two completion.
var commands = strings.Fields("rl-run rl-unshare rl-exec rl-ps rl-logs rl-stop rl-kill rl-wait rl-inspect rl-rm rl-net rl-doctor rl-netd rl-veth")

// patient is a program that may take long on a busy machine.
func patient(t *testing.T, path string, args ...string) trial.Result {
	t.Helper()
	return trial.Command{Path: path, Args: args, Timeout: 4 * time.Minute, Env: []string{"PATH=" + os.Getenv("PATH") + ":/usr/sbin:/sbin"}}.Run(t)
}

// script runs one of scripts/, which work with bin/ of the source tree.
func script(t *testing.T, name string, args ...string) trial.Result {
	t.Helper()
	if _, err := os.Stat("../../bin/rl-run"); err != nil {
		t.Fatalf("%v: make build", err)
	}
	return patient(t, "../../scripts/"+name, args...)
}

// files are the names below a directory that are no directories.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, strings.TrimPrefix(path, dir+"/"))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestInstall(t *testing.T) {
	leak.Watch(t)
	dir := t.TempDir()
	script(t, "install", "install", dir, "/opt/rl").OK(t)
	var want []string
	for _, c := range commands {
		want = append(want, "opt/rl/bin/"+c, "opt/rl/share/man/man1/"+c+".1")
		if c != "rl-netd" && c != "rl-veth" {
			want = append(want, "opt/rl/share/bash-completion/completions/"+c, "opt/rl/share/fish/vendor_completions.d/"+c+".fish")
		}
	}
	want = append(want, "opt/rl/share/zsh/site-functions/_rl-run", "opt/rl/lib/systemd/user/rl-net.service")
	slices.Sort(want)
	got := files(t, dir)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if out := patient(t, filepath.Join(dir, "opt/rl/bin/rl-ps"), "--help").OK(t); !strings.HasPrefix(out, "rl-ps lists") {
		t.Errorf("rl-ps --help as installed: %q", out)
	}
	unit, err := os.ReadFile(filepath.Join(dir, "opt/rl/lib/systemd/user/rl-net.service"))
	if err != nil || !strings.Contains(string(unit), "ExecStart=/opt/rl/bin/rl-net start") {
		t.Errorf("the unit does not start what is installed: %v\n%s", err, unit)
	}

	mine := filepath.Join(dir, "opt/rl/bin/mine")
	if err := os.WriteFile(mine, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	script(t, "install", "uninstall", dir, "/opt/rl").OK(t)
	if got := files(t, dir); !slices.Equal(got, []string{"opt/rl/bin/mine"}) {
		t.Errorf("after uninstall: %q", got)
	}
}

// TestManualPages has mandoc and groff read each page: neither has anything to complain of.
func TestManualPages(t *testing.T) {
	leak.Watch(t)
	dir := t.TempDir()
	script(t, "man", dir).OK(t)
	for _, c := range commands {
		page := filepath.Join(dir, c+".1")
		// What is left out is the date, which would make each build another one.
		for line := range strings.SplitSeq(patient(t, trial.NeedTool(t, "mandoc"), "-T", "lint", "-W", "warning", page).Stdout, "\n") {
			if line != "" && !strings.Contains(line, "missing date") {
				t.Error(line)
			}
		}
		text := regexp.MustCompile(".\b").ReplaceAllString(patient(t, "mandoc", "-T", "ascii", page).OK(t), "")
		for _, want := range []string{"NAME\n       " + c + " - ", "SYNOPSIS\n       " + c} {
			if !strings.Contains(text, want) {
				t.Errorf("%s.1 has no %q:\n%.300s", c, want, text)
			}
		}
		help := trial.Command{Path: trial.Bin(t, c), Args: []string{"--help"}}.Run(t).Stdout
		for _, option := range regexp.MustCompile(`(?m)^  (-[^ ,\n]+)`).FindAllStringSubmatch(help, -1) {
			if !strings.Contains(text, "\n       "+option[1]) {
				t.Errorf("%s.1 does not explain %s", c, option[1])
			}
		}
		if c != "rl-netd" && c != "rl-veth" && !strings.Contains(text, "EXAMPLES\n") {
			t.Errorf("%s.1 has no examples", c)
		}
	}
}

// inTree is what happens to the package in a Debian tree.
const inTree = `
	list() { find / -xdev \( -path /var/lib/dpkg -o -path /var/log -o -path /tmp \) -prune -o -print | sort; }
	list >/tmp/before
	dpkg --install /tmp/rl-run.deb
	rl-run --version
	rl-run --net=none --explain /mnt true | tail -n 1
	rl-ps
	# Started for real, in the container that this is; it has one id to give.
	rl-run --quiet --net=none --userns=single /mnt echo nested
	dpkg --verify rl-run && echo verified
	dpkg --purge rl-run
	list >/tmp/after
	diff /tmp/before /tmp/after && echo clean
`

// TestDebianPackage makes the package, has lintian look at it, and installs it, runs from it and
// purges it in a Debian tree.
func TestDebianPackage(t *testing.T) {
	trial.NeedUser(t)
	leak.Watch(t)
	trial.NeedTool(t, "dpkg-deb")
	dir := t.TempDir()
	deb := strings.TrimSpace(script(t, "deb", dir).OK(t))
	if out := patient(t, trial.NeedTool(t, "lintian"), "--fail-on", "error,warning", deb); out.Code != 0 || out.Stdout != "" {
		t.Errorf("lintian %s: exit code %d\n%s%s", deb, out.Code, out.Stdout, out.Stderr)
	}
	for line := range strings.Lines(patient(t, "dpkg-deb", "--contents", deb).OK(t)) {
		if f := strings.Fields(line); f[1] != "root/root" || strings.ContainsAny(f[0], "sS") {
			t.Errorf("the package has %s", line)
		}
	}
	out := trial.Command{Timeout: 4 * time.Minute, Args: []string{
		"--quiet", "--net=none", "--cap-add=ALL", "--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL",
		"-v", deb + ":/tmp/rl-run.deb:ro", "-v", trial.Tree(t, "busybox") + ":/mnt:ro", "--tmpfs", "/run:mode=0755",
		trial.Tree(t, "debian"), "sh", "-euc", inTree,
	}}.Run(t).OK(t)
	for _, want := range []string{"Setting up rl-run", "rl-run ", "exec true", "NAME", "\nnested\n", "\nverified\n", "Purging", "clean"} {
		if !strings.Contains(out, want) && (want != "Purging" || !strings.Contains(out, "Removing rl-run")) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
}

// TestAppArmor has AppArmor's parser read the profile where it knows rules for user namespaces;
// older ones say that they do not.
func TestAppArmor(t *testing.T) {
	leak.Watch(t)
	r := patient(t, "apparmor_parser", "--skip-kernel-load", "--skip-cache", "--names", "../../contrib/apparmor/rl-run")
	if version := patient(t, "apparmor_parser", "--version").OK(t); !strings.Contains(version, "version 3") {
		if got := r.OK(t); got != "rl-run" {
			t.Errorf("got %q", got)
		}
		return
	}
	// What version 3 can judge is all but the two lines that it does not have.
	text, err := os.ReadFile("../../contrib/apparmor/rl-run")
	if err != nil {
		t.Fatal(err)
	}
	old := filepath.Join(t.TempDir(), "rl-run")
	older := strings.NewReplacer("abi <abi/4.0>", "abi <abi/3.0>", "  userns,\n", "").Replace(string(text))
	if err := os.WriteFile(old, []byte(older), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := patient(t, "apparmor_parser", "--skip-kernel-load", "--skip-cache", "--names", old).OK(t); got != "rl-run" {
		t.Errorf("got %q", got)
	}
	if r.Code == 0 {
		t.Error("version 3 takes a rule of version 4: the package relies on its refusal")
	}
}
