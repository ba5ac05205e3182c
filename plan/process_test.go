package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/pid1"
)

func namespace(t *testing.T, pid int, name string) string {
	t.Helper()
	link, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return link
}

func TestNamespaces(t *testing.T) {
	leak.Watch(t)
	all := uint64(unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWNET | unix.CLONE_NEWCGROUP)
	p := after(t, Unshare{all}, LoopbackUp{}, SetHostname{"box"})
	for _, name := range append([]string{"user", "pid", "mnt"}, Namespaces(all)...) {
		if namespace(t, p.PID, name) == namespace(t, os.Getpid(), name) {
			t.Errorf("the %s namespace is the host's", name)
		}
	}
	if text, err := os.ReadFile(p.proc("net/fib_trie")); err != nil || !strings.Contains(string(text), "127.0.0.1") {
		t.Errorf("lo is not up: %v", err)
	}
	if p = after(t); namespace(t, p.PID, "net") != namespace(t, os.Getpid(), "net") {
		t.Error("a net namespace that was not asked for")
	}
	failing(t, unix.EPERM, SetHostname{"the host's"})
}

func TestJoinNet(t *testing.T) {
	leak.Watch(t)
	pl := begin(StartCommand{}, WaitFor{Command}, JoinNet{})
	for _, s := range []Step{Unshare{unix.CLONE_NEWNET}, LoopbackUp{}, LetGo{Init}, WaitFor{Init}} {
		pl.Add(Command, s, "")
	}
	p, err := pause(t, pl)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(p.proc("task/" + strconv.Itoa(p.PID) + "/children"))
	if err != nil {
		t.Fatal(err)
	}
	command, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	if namespace(t, p.PID, "net") != namespace(t, command, "net") || namespace(t, p.PID, "net") == namespace(t, os.Getpid(), "net") {
		t.Errorf("init is in %s, the command in %s, the host in %s",
			namespace(t, p.PID, "net"), namespace(t, command, "net"), namespace(t, os.Getpid(), "net"))
	}
}

func TestIDs(t *testing.T) {
	leak.Watch(t)
	p := after(t, SetIDs{KeepGroups: true})
	for name, want := range map[string]int{"uid_map": os.Getuid(), "gid_map": os.Getgid()} {
		text, err := os.ReadFile(p.proc(name))
		if got := strings.Fields(string(text)); err != nil || len(got) != 3 || got[0] != "0" || got[1] != strconv.Itoa(want) || got[2] != "1" {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
	if text, err := os.ReadFile(p.proc("setgroups")); err != nil || string(text) != "deny\n" {
		t.Errorf("setgroups: %q, %v", text, err)
	}
	failing(t, unix.EPERM, SetIDs{})
	failing(t, unix.EINVAL, SetIDs{UID: 1, KeepGroups: true})
	failing(t, unix.EINVAL, SetIDs{GID: 1, KeepGroups: true})
}

// Each capability and privilege is as the steps say, in the order of a start.
func TestPrivileges(t *testing.T) {
	leak.Watch(t)
	last, err := os.ReadFile("/proc/sys/kernel/cap_last_cap")
	if err != nil {
		t.Fatal(err)
	}
	highest, err := strconv.Atoi(strings.TrimSpace(string(last)))
	if err != nil {
		t.Fatal(err)
	}
	const kill, raw, bpf = 1 << unix.CAP_KILL, 1 << unix.CAP_NET_RAW, 1 << unix.CAP_BPF
	set := func(n uint64) string { return fmt.Sprintf("%016x", n) }
	p := after(t, DropBounding{Keep: kill | raw | bpf, Last: highest}, KeepCaps{},
		SetCaps{Effective: kill, Permitted: kill | raw | bpf, Inheritable: raw | bpf}, RaiseAmbient{raw | bpf}, NoNewPrivs{},
		Seccomp{Profile: "allow", Filter: []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}})
	for key, want := range map[string]string{
		"CapBnd": set(kill | raw | bpf), "CapEff": set(kill), "CapPrm": set(kill | raw | bpf),
		"CapInh": set(raw | bpf), "CapAmb": set(raw | bpf), "NoNewPrivs": "1", "Seccomp": "2",
	} {
		if got := statusLine(t, p.PID, key); got != want {
			t.Errorf("%s is %s, want %s", key, got, want)
		}
	}
	if got := statusLine(t, os.Getpid(), "NoNewPrivs"); got != "0" {
		t.Error("the launcher has no_new_privs")
	}
	p = after(t, SetCaps{})
	if got := statusLine(t, p.PID, "CapEff"); got != set(0) {
		t.Errorf("CapEff is %s, want none", got)
	}
	failing(t, unix.EPERM, SetCaps{}, DropBounding{Keep: 0, Last: highest})
	failing(t, unix.EPERM, SetCaps{Permitted: kill}, RaiseAmbient{kill}) // not inheritable
	failing(t, unix.EPERM, SetCaps{Permitted: kill}, SetCaps{Permitted: kill | raw})
	failing(t, unix.EACCES, SetCaps{}, Seccomp{Filter: []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW}}})
	failing(t, unix.EINVAL, NoNewPrivs{}, Seccomp{Filter: []unix.SockFilter{{Code: unix.BPF_LD}}})
}

func TestProcess(t *testing.T) {
	leak.Watch(t)
	extra, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer extra.Close()
	if _, err := unix.FcntlInt(extra.Fd(), unix.F_SETFD, 0); err != nil { // as the caller of a launcher leaves it
		t.Fatal(err)
	}
	p := after(t, NewSession{}, SetUmask{0o27}, NewKeyring{}, Subreaper{}, SetLimit{"nofile", unix.RLIMIT_NOFILE, 100, 200},
		NullStdin{}, CloseOnExec{}, ResetSignals{}, Chdir{"/etc"})
	if got := statusLine(t, p.PID, "Umask"); got != "0027" {
		t.Errorf("umask %s", got)
	}
	sessions := strings.Fields(statusLine(t, p.PID, "NSsid"))
	if sessions[len(sessions)-1] != "1" {
		t.Errorf("session %v, want one of its own", sessions)
	}
	if got := strings.Fields(statusLine(t, p.PID, "SigBlk")); got[0] != strings.Fields(statusLine(t, os.Getpid(), "SigBlk"))[0] {
		t.Errorf("blocked signals %s", got)
	}
	for link, want := range map[string]string{"fd/0": "/dev/null", "cwd": "/etc"} {
		if got, err := os.Readlink(p.proc(link)); err != nil || got != want {
			t.Errorf("%s is %s, %v; want %s", link, got, err, want)
		}
	}
	limits, err := os.ReadFile(p.proc("limits"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if f := strings.Fields(line); strings.HasPrefix(line, "Max open files") && (f[3] != "100" || f[4] != "200") {
			t.Errorf("limits %s", line)
		}
	}
	fds, err := os.ReadDir(p.proc("fd"))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if n, _ := strconv.Atoi(fd.Name()); n < 3 {
			continue
		}
		info, err := os.ReadFile(p.proc("fdinfo/" + fd.Name()))
		if err != nil {
			t.Fatal(err)
		}
		var flags uint64
		for line := range strings.Lines(string(info)) {
			if text, ok := strings.CutPrefix(line, "flags:"); ok {
				if flags, err = strconv.ParseUint(strings.TrimSpace(text), 8, 64); err != nil {
					t.Fatal(err)
				}
			}
		}
		if flags&unix.O_CLOEXEC == 0 {
			path, _ := os.Readlink(p.proc("fd/" + fd.Name()))
			t.Errorf("fd %s (%s) stays open in the command", fd.Name(), path)
		}
	}
	// what belongs to the launcher is as it was
	if _, err := os.Readlink("/proc/self/fd/0"); err != nil {
		t.Error(err)
	}
	if flags, err := unix.FcntlInt(extra.Fd(), unix.F_GETFD, 0); err != nil || flags != 0 {
		t.Errorf("the launcher's own fd has flags %d, %v", flags, err)
	}
}

func TestChdir(t *testing.T) {
	leak.Watch(t)
	failing(t, unix.ENOENT, Chdir{"/nowhere"})
	failing(t, unix.ENOTDIR, Chdir{"/etc/passwd"})
	// a directory that no path leads to, though it can be entered (CVE-2024-21626)
	failing(t, unix.EXDEV, Stage{}, raw(func(p *program) {
		p.call(unix.SYS_FCHDIR, at(p.memory.stage))
		p.call(unix.SYS_UMOUNT2, p.str(StagePoint), lit(unix.MNT_DETACH))
	}), Chdir{"."})
}

// The memory of the launcher is in no /proc directory that the container's root
// could read.
func TestHideMemory(t *testing.T) {
	leak.Watch(t)
	p := after(t)
	var before, behind unix.Stat_t
	if err := unix.Stat(p.proc("environ"), &before); err != nil {
		t.Fatal(err)
	}
	p = after(t, HideMemory{})
	if err := unix.Stat(p.proc("environ"), &behind); err != nil {
		t.Fatal(err)
	}
	if before.Uid != uint32(os.Getuid()) || behind.Uid == uint32(os.Getuid()) && os.Getuid() != 0 {
		t.Errorf("environ belongs to %d, before to %d", behind.Uid, before.Uid)
	}
	if os.Getuid() != 0 {
		if _, err := os.ReadFile(p.proc("environ")); err == nil {
			t.Error("environ can be read")
		}
	}
	// the next start must be able to map ids
	if p = after(t); p.PID == 0 {
		t.Error("not started")
	}
}

func TestTerminal(t *testing.T) {
	leak.Watch(t)
	p, m := mounts(t, MakeDir{"/dev", 0o755}, MakeDir{"/dev/pts", 0o755},
		Mount{Type: "devpts", Target: "/dev/pts", Data: "newinstance,ptmxmode=0666,mode=0620"})
	options(t, m["/dev/pts"], "devpts", "mode=620", "ptmxmode=666")
	_ = p

	p = after(t, append(tmpfsRoot(MakeDir{"/dev", 0o755}, MakeDir{"/dev/pts", 0o755},
		Mount{Type: "devpts", Target: "/dev/pts", Data: "newinstance,ptmxmode=0666,mode=0620"}, PivotRoot{}),
		NewSession{}, OpenTerminal{33, 44}, TakeTerminal{})...)
	if p.Terminal < 0 {
		t.Fatal("no terminal came")
	}
	ws, err := unix.IoctlGetWinsize(p.Terminal, unix.TIOCGWINSZ)
	if err != nil || ws.Row != 33 || ws.Col != 44 {
		t.Errorf("size %v, %v", ws, err)
	}
	if flags, err := unix.FcntlInt(uintptr(p.Terminal), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("the master has flags %d, %v", flags, err)
	}
	for fd := range 3 {
		if got, err := os.Readlink(p.proc(fmt.Sprint("fd/", fd))); err != nil || filepath.Base(got) != "0" {
			t.Errorf("fd %d is %s, %v", fd, got, err)
		}
	}
	stat, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); f[4] == "0" { // tty_nr
		t.Error("there is no controlling terminal")
	}
	failing(t, unix.ENOENT, append(tmpfsRoot(MakeDir{"/dev", 0o755}, PivotRoot{}), OpenTerminal{1, 1})...)
}

// Process 1 is the static init, which ends as the command does.
func TestExecInit(t *testing.T) {
	leak.Watch(t)
	image, err := pid1.MemFD()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(image)
	pl := begin(StartCommand{}, NoNewPrivs{}, ExecInit{})
	pl.Add(Command, ResetSignals{}, "")
	pl.Add(Command, Exec{Paths: []string{"/bin/sh"}, Argv: []string{"sh", "-c", "[ $$ = 2 ] && exit 7"}}, "")
	if _, ws, err := run(t, Options{Image: image}, pl); err != nil || ws.ExitStatus() != 7 {
		t.Errorf("status %#x, %v", ws, err)
	}
}

// A start is as good as the one before, however many there were, beside a
// garbage collection.
func TestThreeHundredStarts(t *testing.T) {
	leak.Watch(t)
	stop := collect()
	defer stop()
	for i := range 300 {
		pl := begin(Unshare{unix.CLONE_NEWUTS}, SetHostname{"box"}, StartCommand{}, Exec{Paths: []string{"/bin/true"}, Argv: []string{"true"}})
		pl.Add(Command, Chdir{"/"}, "")
		pl.Add(Command, Exec{Paths: []string{"/none", "/bin/true"}, Argv: []string{"true"}}, "")
		if _, ws, err := run(t, Options{}, pl); err != nil || ws != 0 {
			t.Fatal(i, ws, err)
		}
	}
}

// A launcher that has gone before PDEATHSIG was taken again is found out by its socket, whatever that says of it: the signal is pending then.
func TestDiesLater(t *testing.T) {
	for name, c := range map[string]struct {
		before func(p *program, theirs, mine arg)
		code   int
	}{
		"lives":    {func(*program, arg, arg) {}, 40},
		"has gone": {func(p *program, theirs, _ arg) { p.close(theirs) }, 41},
		"has gone but for other threads": {func(p *program, _, _ arg) {
			p.call(unix.SYS_READ, p.keep(p.call(unix.SYS_OPENAT, cwd, p.str("/dev/zero"), lit(unix.O_RDONLY))), lit(p.memory.thread), lit(4)).wants(4)
		}, 41},
		"has gone with something unread": {func(p *program, theirs, mine arg) {
			p.call(unix.SYS_WRITE, mine, lit(p.a.word()), lit(1)).wants(1)
			p.close(theirs) // ECONNRESET
		}, 41},
	} {
		t.Run(name, func(t *testing.T) {
			_, ws, err := run(t, Options{}, begin(raw(func(p *program) {
				pair := p.a.word()
				p.call(unix.SYS_SOCKETPAIR, lit(unix.AF_UNIX), lit(unix.SOCK_SEQPACKET), lit(0), lit(pair))
				theirs, mine := p.keep(p.call(unix.SYS_DUP, at(pair))), lit(p.control) // of a word, the kernel takes the half
				p.close(at(pair))
				p.call(unix.SYS_DUP3, at(pair+4), mine, lit(0))
				c.before(p, theirs, mine)
				DieWithParent{Again: true, Sweep: true, Later: true}.lower(p)
				pending := p.a.word()
				p.call(unix.SYS_RT_SIGPENDING, lit(pending), lit(8))
				p.compare(at(pending), 1<<63, 1<<63, unix.ESRCH).skips(1, unix.ESRCH)
				exit(p, lit(41))
				exit(p, lit(40))
			})))
			if err != nil || ws.ExitStatus() != c.code {
				t.Errorf("status %#x, %v; want exit status %d", ws, err, c.code)
			}
		})
	}
}
