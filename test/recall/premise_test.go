package recall

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/rootfs"
)

func itoa(n int) string { return strconv.Itoa(n) }

// Each thing that a plan depends on is changed once, and the next start shows it.
func TestPremises(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []string
		change  func(t *testing.T, h host, tree string) (before []string)
		command []string
		want    string // on stdout or stderr
	}{
		{"passwd", nil, func(t *testing.T, _ host, tree string) []string {
			edit(t, tree+"/etc/passwd", "root:x:0:0::/elsewhere:/bin/sh\n")
			return nil
		}, []string{"sh", "-c", "echo $HOME"}, "/elsewhere\n"},
		{"passwd is gone", nil, func(t *testing.T, _ host, tree string) []string {
			must(t, os.Remove(tree+"/etc/passwd"))
			return nil
		}, []string{"sh", "-c", "echo home=$HOME"}, "home="},
		{"group", []string{"-u", "0:staff"}, func(t *testing.T, _ host, tree string) []string {
			edit(t, tree+"/etc/group", "root:x:0:\nstaff:x:77:\n")
			return nil
		}, []string{"id", "-g"}, "77\n"},
		{"locale", nil, func(t *testing.T, _ host, tree string) []string {
			must(t, os.MkdirAll(tree+"/usr/lib/locale/C.utf8", 0o755))
			return nil
		}, []string{"sh", "-c", "echo $LANG"}, "C.UTF-8\n"},
		{"another tree of the name", nil, func(t *testing.T, _ host, tree string) []string {
			must(t, os.Rename(tree, tree+".old"))
			must(t, os.CopyFS(tree, os.DirFS(tree+".old")))
			edit(t, tree+"/new", "")
			return nil
		}, []string{"ls", "/"}, "\nnew\n"},
		{"mode of the tree", nil, func(t *testing.T, _ host, tree string) []string {
			must(t, os.Chmod(tree, 0o711))
			return nil
		}, []string{"stat", "-c", "%a", "/"}, "711\n"},
		{"the tree is gone", nil, func(t *testing.T, _ host, tree string) []string {
			must(t, os.Rename(tree, tree+".old"))
			return nil
		}, []string{"true"}, "no such file or directory"},
		{"no_new_privs", nil, func(t *testing.T, _ host, _ string) []string {
			return []string{trial.NeedTool(t, "setpriv"), "--no-new-privs"}
		}, []string{"true"}, "no_new_privs"},
		{"limit of open files", []string{"--userns=single"}, func(*testing.T, host, string) []string {
			return []string{"/bin/sh", "-c", `ulimit -Sn 77; exec "$@"`, "sh"}
		}, []string{"sh", "-c", "ulimit -n"}, "77\n"},
		{"PATH", nil, func(*testing.T, host, string) []string {
			return []string{"/usr/bin/env", "PATH=/bin:/usr/bin"}
		}, []string{"true"}, ""},
		{"proxy", nil, func(*testing.T, host, string) []string {
			return []string{"/usr/bin/env", "http_proxy=http://proxy.example"}
		}, []string{"sh", "-c", "echo $http_proxy"}, "http://proxy.example\n"},
		{"memory", []string{"--userns=single"}, func(*testing.T, host, string) []string {
			return []string{"/bin/sh", "-c", `ulimit -v 4000000; exec "$@"`, "sh"}
		}, []string{"sh", "-c", "ulimit -v"}, "4000000\n"},
		{
			"user namespace", nil, func(t *testing.T, h host, _ string) []string { return []string{trial.NeedTool(t, "unshare"), "-r"} },
			[]string{"cat", "/proc/self/uid_map"},
			"",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, tree := newHost(t), trial.NewTree(t)
			edit(t, tree+"/etc/group", "root:x:0:\nstaff:x:50:\n")
			options := slices.Concat([]string{"--net=none"}, c.options, []string{tree})
			h.prime(slices.Concat(options, []string{"true"})...)
			h.recalls(slices.Concat(options, []string{"true"})...).OK(t)
			before := c.change(t, h, tree)
			r, byMemo := h.traced(before, slices.Concat(options, c.command)...)
			if byMemo {
				t.Error("started by memo")
			}
			if !strings.Contains(r.Stdout+r.Stderr, c.want) {
				t.Errorf("%d %q %q, want %q", r.Code, r.Stdout, r.Stderr, c.want)
			}
		})
	}
}

// Supplementary groups, which stay with a container of a single id, by a caller who can change his own.
func TestGroups(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	const script = `set -e; groups=--clear-groups
		run() { setpriv "$groups" --bounding-set=-setuid,-setgid "$0" --net=none --userns=single "$@"; }
		for groups in --clear-groups --groups=5; do
			rm -rf "$XDG_RUNTIME_DIR/rl-run/starts"
			for i in $(seq 200); do run "$1" true 2>/dev/null; [ -n "$(ls "$XDG_RUNTIME_DIR/rl-run/starts" 2>/dev/null)" ] && break; [ $groups = --clear-groups ] || break; sleep 0.1; done
			groups=--groups=5,7; run "$1" true; groups=--clear-groups; run "$1" echo none
		done`
	r := trial.Command{Path: trial.Bin(t, "rl-unshare"), Args: []string{"--quiet", "sh", "-c", script, trial.Bin(t, "rl-run"), tree}, Env: h.env()}.Run(t)
	if out := r.OK(t); out != "none\nnone" || strings.Count(r.Stderr, "the caller's supplementary groups (5, 7) stay") != 2 {
		t.Errorf("%q, %q", out, r.Stderr)
	}
}

// Files of the host, in a mount namespace in which they can be changed; rl-run has no capability to map ids there, so that init
// does it, as on the host.
func TestHostFiles(t *testing.T) {
	h, tree, dir := newHost(t), trial.Tree(t, "busybox"), t.TempDir()
	edit(t, dir+"/resolv.conf", "nameserver 192.0.2.9\n")
	edit(t, dir+"/hosts", "192.0.2.8 changed\n")
	for _, name := range []string{"resolv.conf", "hosts"} {
		script := `set -e; run() { setpriv --bounding-set=-setuid,-setgid "$0" --net=host --userns=single "$@"; }
			for i in $(seq 200); do run "$1" true; [ -n "$(ls "$XDG_RUNTIME_DIR/rl-run/starts" 2>/dev/null)" ] && break; sleep 0.1; done
			strace -qq -o "$3" -e trace=rt_sigaction,clone3 setpriv --bounding-set=-setuid,-setgid "$0" --net=host --userns=single "$1" cat "$2"; grep -q NEWUSER "$3"
			! sed /NEWUSER/q "$3" | grep -q "rt_sigaction(SIGHUP"
			mount --bind "$4" "$2"; echo now; run "$1" cat "$2"`
		r := trial.Command{
			Path: trial.NeedTool(t, "unshare"), Env: h.env(),
			Args: []string{"-rm", "sh", "-c", script, trial.Bin(t, "rl-run"), tree, "/etc/" + name, dir + "/trace", dir + "/" + name},
		}.Run(t)
		before, after, _ := strings.Cut(r.OK(t), "now\n")
		if strings.Contains(before, "192.0.2.") || !strings.Contains(after, "192.0.2.") {
			t.Errorf("%s: %q, then %q", name, before, after)
		}
		must(t, os.RemoveAll(h.dir+"/rl-run"))
	}
}

func edit(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A link that led to a tree, or to a source of a mount, leads elsewhere now.
func TestLinksThatWereTurned(t *testing.T) {
	h, a, b := newHost(t), trial.NewTree(t), trial.NewTree(t)
	edit(t, b+"/second", "")
	dir := t.TempDir()
	link, source := dir+"/link", dir+"/source"
	must(t, os.Symlink(a, link))
	must(t, os.Mkdir(dir+"/harmless", 0o755))
	must(t, os.Symlink(dir+"/harmless", source))

	h.prime("--net=none", link, "true")
	h.recalls("--net=none", link, "true").OK(t)
	h.prime("--net=none", "-v", source+":/mnt", a, "true")
	h.recalls("--net=none", "-v", source+":/mnt", a, "true").OK(t)

	must(t, os.Remove(link))
	must(t, os.Symlink(b, link))
	if got := h.compiles("--net=none", link, "ls", "/").OK(t); !strings.Contains(got, "second") {
		t.Errorf("the old tree: %q", got)
	}
	must(t, os.Remove(source))
	must(t, os.Symlink(h.dir, source))
	h.compiles("--net=none", "-v", source+":/mnt", a, "ls", "/mnt").Fails(t, 125, "the state of rl-run's containers is below it")
}

// The state of containers was moved into what a container sees.
func TestStateThatWasMoved(t *testing.T) {
	newHost(t)
	tree, top := trial.Tree(t, "busybox"), t.TempDir()
	must(t, os.Mkdir(top+"/shown", 0o700))
	must(t, os.Mkdir(top+"/run", 0o700))
	inner := host{t, top + "/place/run", "rl-run"}
	must(t, os.Mkdir(top+"/place", 0o700))
	must(t, os.Rename(top+"/run", top+"/place/run"))
	call := []string{"--net=none", "-v", top + "/shown:/mnt", tree, "ls", "/mnt"}
	inner.prime(call...)
	inner.recalls(call...).OK(t)
	must(t, os.Rename(top+"/place", top+"/shown/place"))
	must(t, os.Symlink(top+"/shown/place", top+"/place"))
	inner.compiles(call...).Fails(t, 125, "the state of rl-run's containers is below it")
}

// A session was started: from then on containers nest in it, by a memo of their own, until it ends.
func TestSession(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	call := func(command ...string) []string { return slices.Concat([]string{"--net=none", tree}, command) }
	h.prime(call("true")...)
	h.recalls(call("true")...).OK(t)
	h.rl("rl-net", "start").OK(t)
	want := h.compiles(call("sh", "-c", describe)...).OK(t)
	memo := h.memos()[0]
	must(t, os.Remove(memo))
	h.prime(call("true")...)
	got := h.recalls(call("sh", "-c", describe)...).OK(t)
	if a, b := varying.ReplaceAllString(want, "X"), varying.ReplaceAllString(got, "X"); a != b {
		t.Errorf("the container differs:\n%s", difference(a, b))
	}
	for script, code := range map[string]int{"exit 7": 7, "kill -KILL $$": 137, "sleep 0.2; exit 3": 3} {
		if r := h.recalls(call("sh", "-c", script)...); r.Code != code || r.Stderr != "" {
			t.Errorf("%s: %d %q", script, r.Code, r.Stderr)
		}
	}
	h.run(call("nosuch")...).Fails(t, 127, "rl-run: error: exec nosuch: command not found\n")
	// a descriptor in the way, found out once there is a container: the caller's own stay as they are
	r := trial.Command{
		Path: "/bin/bash", Env: h.env(), Stdin: trial.StdinText("through"),
		Args: []string{"-c", trial.Bin(t, "rl-run") + " --net=none " + tree + " cat 8</etc/passwd"},
	}.Run(t)
	if got := r.OK(t); got != "through" {
		t.Errorf("with a descriptor in the way: %q", got)
	}

	// its process is another one, as after a crash, though all files are as they were
	pid, err := os.ReadFile(h.dir + "/rl-run/net/pid")
	must(t, err)
	session, err := strconv.Atoi(strings.TrimSpace(string(pid)))
	must(t, err)
	must(t, unix.Kill(session, unix.SIGKILL))
	for end := time.Now().Add(trial.Timeout); unix.Kill(session, 0) == nil && !zombie(session) && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	h.compiles(call("true")...).OK(t)
	h.rl("rl-net", "start").OK(t)
	h.compiles(call("true")...).OK(t)
	h.rl("rl-net", "stop").OK(t)
	h.compiles(call("true")...).OK(t)
}

// zombie reports whether a process has ended and was not waited for yet.
func zombie(pid int) bool {
	stat, err := os.ReadFile("/proc/" + itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}

// A file that is no memo, or not the caller's own, is none, and does no harm.
func TestUnusable(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	call := []string{"--net=none", tree, "echo", "here"}
	h.prime(call...)
	memo := h.memos()[0]
	good, err := os.ReadFile(memo)
	must(t, err)
	for name, spoil := range map[string]func(){
		"cut off":     func() { must(t, os.Truncate(memo, 1<<20)) },
		"empty":       func() { must(t, os.Truncate(memo, 0)) },
		"nothing":     func() { must(t, os.Truncate(memo, 0)); must(t, os.Truncate(memo, int64(len(good)))) },
		"open to all": func() { must(t, os.Chmod(memo, 0o666)) },
		"two names":   func() { must(t, os.Link(memo, h.dir+"/other")) },
		"a link":      func() { must(t, os.Rename(memo, h.dir+"/real")); must(t, os.Symlink(h.dir+"/real", memo)) },
		"a directory": func() { must(t, os.Remove(memo)); must(t, os.Mkdir(memo, 0o700)) },
		"another launcher's": func() {
			bad := slices.Clone(good)
			for i := 16; i < 56; i++ { // its file
				bad[i] ^= 0x55
			}
			must(t, os.WriteFile(memo, bad, 0o600))
		},
		"of another boot": func() {
			boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
			must(t, err)
			bad := bytes.Replace(good, bytes.TrimSpace(boot), []byte("00000000-0000-4000-8000-000000000000"), 1)
			if bytes.Equal(bad, good) {
				t.Error("a memo does not tell its boot")
			}
			must(t, os.WriteFile(memo, bad, 0o600))
		},
	} {
		must(t, os.RemoveAll(memo))
		must(t, os.WriteFile(memo, good, 0o600))
		h.recalls(call...).OK(t) // it is the file that counts, not how it came about
		spoil()
		if got := h.compiles(call...).OK(t); got != "here" {
			t.Errorf("%s: %q", name, got)
		}
		_ = os.Remove(h.dir + "/other")
		_ = os.Remove(h.dir + "/real")
	}
	must(t, os.RemoveAll(memo))
}

// What Probe and its callers look at is asked again: each path that a start without a memo looks at, one with a memo does,
// too, but for those that are named here.
func TestPremisesAreComplete(t *testing.T) {
	tree := trial.Tree(t, "busybox")
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			h := newHost(t)
			call := slices.Concat(kind.options, []string{tree, "true"})
			cold, warm := filepath.Join(t.TempDir(), "cold"), filepath.Join(t.TempDir(), "warm")
			h.prime(call...)
			saved := h.memos()[0]
			good, err := os.ReadFile(saved)
			must(t, err)
			must(t, os.Remove(saved))
			looks := func(file string) []string {
				trial.Command{
					Path: trial.NeedTool(t, "strace"), Env: h.env(),
					Args: append([]string{"-qq", "-o", file, "-e", "trace=%file,clone,clone3", trial.Bin(t, "rl-run")}, call...),
				}.Run(t).OK(t)
				text, err := os.ReadFile(file)
				must(t, err)
				return paths(string(text), tree)
			}
			// strace follows one thread, since newuidmap has no privilege where it is traced; Go may change threads.
			var before []string
			for try := 0; try < 50 && len(before) < 20; try++ {
				_ = os.Remove(saved)
				before = looks(cold)
			}
			must(t, os.RemoveAll(saved))
			must(t, os.WriteFile(saved, good, 0o600))
			after := looks(warm)
			if len(before) < 20 {
				t.Fatalf("only %d paths: %v", len(before), before)
			}
			for _, p := range before {
				masked := !slices.Contains(kind.options, "unmask=ALL")
				if !slices.Contains(after, p) && !excused(p, tree, masked) {
					t.Errorf("%s is looked at, and no premise", p)
				}
			}
		})
	}
}

// paths are those in a trace up to the clone of init, those below the tree absolute.
func paths(trace, tree string) (list []string) {
	for line := range strings.Lines(trace) {
		if strings.Contains(line, "CLONE_NEWUSER") {
			break
		}
		_, rest, ok := strings.Cut(line, `"`)
		call := strings.TrimLeft(line, "0123456789 ") // behind the pid
		if !ok || strings.HasPrefix(call, "execve") {
			continue
		}
		path, _, _ := strings.Cut(rest, `"`)
		if strings.HasPrefix(call, "openat2(") {
			path = tree + path
		}
		if strings.HasPrefix(path, "/") {
			path = filepath.Clean(path)
		}
		if !slices.Contains(list, path) {
			list = append(list, path)
		}
	}
	return list
}

// excused are paths that a plan does not depend on, or that fail a step when they have changed.
func excused(p, tree string, masked bool) bool {
	if !masked && slices.Contains(rootfs.DefaultMasks[:], p) {
		return true // looked at in vain
	}
	for _, prefix := range []string{
		// what is mounted on is found by the steps themselves
		tree + "/proc", tree + "/sys", tree + "/dev", tree + "/tmp", tree + "/etc/host", tree + "/etc/resolv",
		// the steps fail without
		"/dev/",
		// of Go's runtime
		"/sys/kernel/mm/transparent_hugepage/", "/proc/self/cgroup",
		// whose answer the user namespace and the kernel give
		"/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups", "/proc/sys/kernel/cap_last_cap",
	} {
		if strings.HasPrefix(p, prefix) {
			return true
		}
	}
	// parts of the way to the tree, which leads to the same one
	return p == "." || p == ".." || p == "" || strings.HasPrefix(tree, p+"/") || slices.Contains([]string{"/proc", "/sys", "rl-run", "net", "starts"}, p)
}
