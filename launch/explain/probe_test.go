package explain_test

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/nofile"
	"github.com/rl-run/rl-run/internal/trial"
)

// probeWord makes the test program the command of a container, which tells what
// it sees there.
const probeWord = "tell-what-is-here"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == probeWord {
		os.Exit(probe(os.Args[2:]))
	}
	os.Exit(trial.Tests(m).Run())
}

// view is all that a process can tell of where it is, by the name of the thing.
type view map[string]string

// probe prints a view. Its arguments are words that must arrive as they are.
func probe(args []string) int {
	v := view{"argv": fmt.Sprintf("%q", args)}
	v.fds() // first, before this program opens any
	v.status()
	v.mounts()
	v.namespaces()
	v.files()
	v.process()
	v.network()
	v.keyring()
	if err := json.NewEncoder(os.Stdout).Encode(v); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if slices.Contains(args, "exit 7") {
		return 7
	}
	return 0
}

func errname(err error) string {
	if errno, ok := errors.AsType[unix.Errno](err); ok {
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func (v view) read(name string) {
	text, err := os.ReadFile(name)
	if err != nil {
		v["file "+name] = errname(err)
		return
	}
	v["file "+name] = string(text)
}

func (v view) fds() {
	for fd := range 10 { // more cannot be closed by a shell
		to, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		if err != nil || strings.HasPrefix(to, "anon_inode:[event") || strings.HasPrefix(to, "/proc/") {
			continue
		}
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			continue
		}
		v[fmt.Sprintf("fd %d", fd)] = fmt.Sprintf("type %o device %x", st.Mode&unix.S_IFMT, st.Rdev)
	}
}

func (v view) status() {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		v["status"] = errname(err)
		return
	}
	for line := range strings.Lines(string(text)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		switch key {
		case "Umask", "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "SigBlk":
			v["status "+key] = strings.TrimSpace(value)
		}
	}
}

// layerNames are those of layers on disk: a program gives the kernel open files, a script names.
var layerNames = regexp.MustCompile(`(upperdir|workdir)=(/proc/self/fd/+[0-9]+|disk/[a-z]+)`)

// mounts leaves out what no two containers have in common: the numbers of
// mounts, of peer groups and of devices; and mounts that nobody gets to.
func (v view) mounts() {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		v["mounts"] = errname(err)
		return
	}
	place := map[string]string{}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) > 5 {
			place[f[0]] = f[4]
		}
	}
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 10 {
			continue
		}
		if _, err := os.Lstat(f[4]); errors.Is(err, unix.EACCES) {
			continue
		}
		dash := slices.Index(f, "-")
		var peers []string
		for _, p := range f[6:dash] {
			kind, _, _ := strings.Cut(p, ":")
			peers = append(peers, kind)
		}
		key := "mount " + f[4]
		for v[key] != "" {
			key += " again"
		}
		parent, ok := place[f[1]]
		if !ok {
			parent = "nothing"
		}
		v[key] = fmt.Sprintf("%s of %s on %s, %s %v", layerNames.ReplaceAllString(strings.Join(f[dash+1:], " "), "$1=on disk"), f[3], parent, f[5], peers)
	}
}

// namespaces tells for each namespace its number, and whether the user namespace
// of this process owns it.
func (v view) namespaces() {
	own := ""
	for _, name := range []string{"user", "pid", "mnt", "uts", "ipc", "net", "cgroup"} {
		file := "/proc/self/ns/" + name
		link, err := os.Readlink(file)
		if err != nil {
			v["namespace "+name] = errname(err)
			continue
		}
		v["namespace "+name] = link
		if name == "user" {
			own = link
			continue
		}
		v["owner "+name] = owner(file, own)
	}
}

func owner(file, own string) string {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return errname(err)
	}
	defer unix.Close(fd)
	of, err := unix.IoctlRetInt(fd, unix.NS_GET_USERNS)
	if err != nil {
		return errname(err)
	}
	defer unix.Close(of)
	var st unix.Stat_t
	if err := unix.Fstat(of, &st); err != nil {
		return errname(err)
	}
	if fmt.Sprintf("user:[%d]", st.Ino) == own {
		return "this user namespace"
	}
	return "another user namespace"
}

func (v view) files() {
	for _, name := range []string{"/proc/self/uid_map", "/proc/self/gid_map", "/proc/self/setgroups", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"} {
		v.read(name)
	}
	for _, dir := range []string{"/", "/dev", "/made", "/mnt", "/opt"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			v["directory "+dir] = errname(err)
			continue
		}
		for _, e := range entries {
			name := path.Join(dir, e.Name())
			var st unix.Stat_t
			if err := unix.Lstat(name, &st); err != nil {
				v["entry "+name] = errname(err)
				continue
			}
			text := fmt.Sprintf("mode %o of %d:%d", st.Mode, st.Uid, st.Gid)
			if to, err := os.Readlink(name); err == nil {
				text += " to " + to
			}
			v["entry "+name] = text
		}
		var st unix.Stat_t
		if err := unix.Stat(dir, &st); err == nil {
			v["directory "+dir] = fmt.Sprintf("mode %o of %d:%d", st.Mode, st.Uid, st.Gid)
		}
	}
	for _, name := range []string{"/written", "/dev/shm/written", "/proc/sys/kernel/written", "/proc/timer_list"} {
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CREAT|unix.O_CLOEXEC, 0o666)
		if err != nil {
			v["write "+name] = errname(err)
			continue
		}
		unix.Close(fd)
		if strings.HasSuffix(name, "/written") {
			_ = unix.Unlink(name)
		}
		v["write "+name] = "allowed"
	}
}

func (v view) process() {
	for _, kv := range os.Environ() {
		k, value, _ := strings.Cut(kv, "=")
		v["variable "+k] = value
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		v["hostname"] = unix.ByteSliceToString(u.Nodename[:])
	}
	var cwd [unix.PathMax]byte
	if n, err := unix.Getcwd(cwd[:]); err == nil {
		v["directory of the process"] = strings.TrimRight(string(cwd[:n]), "\x00")
	} else {
		v["directory of the process"] = errname(err)
	}
	sid, _ := unix.Getsid(0)
	v["leads a session"] = strconv.FormatBool(sid == os.Getpid())
	soft, hard := nofile.AtStart()
	v["limit nofile"] = fmt.Sprintf("%d:%d", soft, hard)
}

func (v view) network() {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		v["lo"] = errname(err)
		return
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err == nil {
		err = unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, r)
	}
	if err != nil {
		v["lo"] = errname(err)
		return
	}
	v["lo"] = fmt.Sprintf("flags %#x", r.Uint16())
	v.read("/proc/self/net/if_inet6")
	var st unix.Stat_t
	if err := unix.Stat("/sys/class/net/lo/mtu", &st); err != nil {
		v["owner of lo"] = errname(err)
		return
	}
	v["owner of lo"] = strconv.Itoa(int(st.Uid))
}

func (v view) keyring() {
	id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, false)
	if err != nil {
		v["keyring"] = errname(err)
		return
	}
	text, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, id)
	if err != nil {
		text = errname(err)
	}
	v["keyring"] = text
}

// probeProgram is the path of this program. It needs no file of a root.
func probeProgram(tb testing.TB) string {
	tb.Helper()
	name, err := os.Executable()
	if err != nil {
		tb.Fatal(err)
	}
	if name, err = filepath.EvalSymlinks(name); err != nil {
		tb.Fatal(err)
	}
	program, err := elf.Open(name)
	if err != nil {
		tb.Fatal(err)
	}
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		tb.Errorf("%s is linked dynamically, and cannot be started in a container: CGO_ENABLED=0 go test", name)
	}
	if err := program.Close(); err != nil {
		tb.Error(err)
	}
	return name
}
