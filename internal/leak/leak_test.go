package leak

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	if what := os.Getenv(plantEnv); what != "" {
		plant(what)
	}
	os.Exit(Tests(m).Run())
}

// plantEnv makes the test program do one thing in a new process, without tests.
const plantEnv = "RLRUN_LEAK_PLANT"

// plant does what the variable asks for and ends.
func plant(what string) {
	switch what {
	case "sleep":
		_, _ = os.Stdout.WriteString("ready\n")
		time.Sleep(time.Minute)
	case "orphan": // leaves a sleeper behind, in a session of its own
		c := planter("sleep")
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := c.Start(); err != nil {
			panic(err)
		}
		fmt.Fprintln(os.Stdout, c.Process.Pid)
	case "leave-and-pass": // a test program that passes and leaves a sleeper
		os.Exit(Tests(runnerFunc(func() int {
			if err := planter("sleep").Start(); err != nil {
				panic(err)
			}
			return 0
		})).Run())
	case "exit-7":
		os.Exit(Tests(runnerFunc(func() int { return 7 })).Run())
	case "die":
		os.Exit(Tests(runnerFunc(func() int { _ = unix.Kill(os.Getpid(), unix.SIGKILL); select {} })).Run())
	}
	os.Exit(0)
}

type runnerFunc func() int

func (f runnerFunc) Run() int { return f() }

func planter(what string) *exec.Cmd {
	c := exec.Command("/proc/self/exe")
	c.Env = append(os.Environ(), plantEnv+"="+what)
	return c
}

// inside runs the calling test again in new namespaces, as their root, and
// returns true there. Outside it waits and returns false.
func inside(t *testing.T, flags uintptr) bool {
	t.Helper()
	const env = "RLRUN_LEAK_INSIDE"
	if os.Getenv(env) == t.Name() {
		return true
	}
	c := exec.Command("/proc/self/exe", "-test.run=^"+regexp.QuoteMeta(t.Name())+"$", "-test.v")
	c.Env = append(os.Environ(), env+"="+t.Name())
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("inside new namespaces: %v\n%s", err, out)
	}
	return false
}

// sees fails unless exactly the leaks of that kind are found that match the patterns.
func sees(t *testing.T, before *Before, kind Kind, patterns ...string) {
	t.Helper()
	leaks, err := before.Since()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, l := range leaks {
		if l.Kind == kind {
			found = append(found, l.String())
		}
	}
	ok := len(found) == len(patterns)
	for _, p := range patterns {
		ok = ok && slices.ContainsFunc(found, regexp.MustCompile(p).MatchString)
	}
	if !ok {
		t.Errorf("%s: found %q, want %q", kind, found, patterns)
	}
}

// clean fails unless all is as before.
func clean(t *testing.T, before *Before) {
	t.Helper()
	Check(t, before)
}

func TestNothing(t *testing.T) {
	before := Snapshot(t)
	if err := exec.Command("/proc/self/exe", "-test.list=^$").Run(); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
}

func TestOrphan(t *testing.T) {
	before := Snapshot(t)
	out, err := planter("orphan").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	sees(t, before, Process, fmt.Sprintf(`^process %d \(started at tick \d+\): pid %d, parent %d, uid %d, state .*: "/proc/self/exe"$`,
		pid, pid, supervisor, os.Getuid()))
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	clean(t, before) // the supervisor reaps it
}

func TestZombie(t *testing.T) {
	before := Snapshot(t)
	c := exec.Command("/proc/self/exe", "-test.list=^$")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Waitid(unix.P_PID, c.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	sees(t, before, Process, fmt.Sprintf(`pid %d, parent %d, .* zombie`, c.Process.Pid, os.Getpid()))
	if err := c.Wait(); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
}

func TestWholeUser(t *testing.T) {
	before := Snapshot(t, WholeUser())
	// A stranger to the tests: it is not below what the snapshot takes for the supervisor.
	before.scope.top = os.Getpid()
	before.scope.wholeUser = false
	out, err := planter("orphan").Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		t.Fatal(err)
	}
	sees(t, before, Process)
	before.scope.wholeUser = true
	before.scope.except = append(before.scope.except, func(l Leak) bool {
		return l.Kind == Process && !strings.HasPrefix(l.Name, fmt.Sprintf("%d ", pid))
	})
	sees(t, before, Process, fmt.Sprintf(`pid %d`, pid))
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	before.scope.except = append(before.scope.except, func(l Leak) bool { return l.Kind == Namespace })
	clean(t, before)
}

func TestNamespaceHeldByProcessAndFD(t *testing.T) {
	before := Snapshot(t)
	c := planter("sleep")
	c.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
	sees(t, before, Namespace,
		fmt.Sprintf(`^namespace net:\[\d+\]: held by process %d$`, c.Process.Pid),
		fmt.Sprintf(`^namespace user:\[\d+\]: held by process %d$`, c.Process.Pid))
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) {
		t.Fatal(err)
	}
	sees(t, before, Namespace, fmt.Sprintf(`^namespace net:\[\d+\]: held by fd %d of process %d$`, ns.Fd(), os.Getpid()))
	sees(t, before, FD, `\(net:\[\d+\]\)$`)
	ns.Close()
	clean(t, before)
}

func TestMountedNamespace(t *testing.T) {
	if !inside(t, unix.CLONE_NEWNS) {
		return
	}
	dir := t.TempDir()
	before := Snapshot(t, Paths(dir))
	file := filepath.Join(dir, "net")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	name := unsharedNetwork(t, file)
	sees(t, before, Namespace, `^namespace `+regexp.QuoteMeta(name)+`: mounted on `+regexp.QuoteMeta(file)+` in mnt:\[\d+\]$`)
	sees(t, before, Mount, `^mount nsfs on `+regexp.QuoteMeta(file)+` \(mount id \d+\): `+regexp.QuoteMeta(name)+` of nsfs$`)
	sees(t, before, File, `^file `+regexp.QuoteMeta(file)+`: -`)
	if err := errors.Join(unix.Unmount(file, unix.MNT_DETACH), os.Remove(file)); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
}

// unsharedNetwork binds a net namespace that no process is in to file.
func unsharedNetwork(t *testing.T, file string) (name string) {
	t.Helper()
	c := planter("sleep")
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill(); _ = c.Wait() }()
	link := fmt.Sprintf("/proc/%d/ns/net", c.Process.Pid)
	name, err := os.Readlink(link)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(link, file, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestMount(t *testing.T) {
	if !inside(t, unix.CLONE_NEWNS) {
		return
	}
	dir := t.TempDir()
	before := Snapshot(t)
	if err := unix.Mount("planted", dir, "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	sees(t, before, Mount, `^mount tmpfs on `+regexp.QuoteMeta(dir)+` \(mount id \d+\): / of planted$`)
	during := Snapshot(t)
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
	sees(t, during, Mount, `^mount tmpfs on `+regexp.QuoteMeta(dir)+` \(mount id \d+\) is gone`)
}

func TestLinkAndRules(t *testing.T) {
	if !inside(t, unix.CLONE_NEWNET) {
		return
	}
	before := Snapshot(t)
	kind := attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, []byte("veth")))
	change(t, unix.NETLINK_ROUTE, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL,
		append(make([]byte, unix.SizeofIfInfomsg), append(attribute(unix.IFLA_IFNAME, []byte("planted\x00")), kind...)...))
	sees(t, before, Link, `^link planted \(index \d+\): veth$`, `^link veth0 \(index \d+\): veth$`)

	address := append(make([]byte, unix.SizeofIfAddrmsg), attribute(unix.IFA_LOCAL, []byte{192, 0, 2, 1})...)
	address[0], address[1] = unix.AF_INET, 24
	binary.NativeEndian.PutUint32(address[4:], 1)
	change(t, unix.NETLINK_ROUTE, unix.RTM_NEWADDR, unix.NLM_F_CREATE, address)
	sees(t, before, Address, `^address 192.0.2.1/24 on link index 1$`)
	with := Snapshot(t)
	change(t, unix.NETLINK_ROUTE, unix.RTM_DELADDR, 0, address)
	sees(t, with, Address, `^address 192.0.2.1/24 on link index 1 is gone$`)

	loopback := make([]byte, sizeofTcmsg)
	binary.NativeEndian.PutUint32(loopback[4:], 1)
	clsact := slices.Clone(loopback)
	binary.NativeEndian.PutUint32(clsact[8:], 0xffff0000)
	binary.NativeEndian.PutUint32(clsact[12:], 0xfffffff1) // TC_H_CLSACT
	change(t, unix.NETLINK_ROUTE, unix.RTM_NEWQDISC, unix.NLM_F_CREATE, append(clsact, attribute(tcaKind, []byte("clsact\x00"))...))
	u32 := slices.Clone(loopback)
	binary.NativeEndian.PutUint32(u32[12:], ingressParent)
	binary.NativeEndian.PutUint32(u32[16:], 7<<16|0x0300) // priority 7, ETH_P_ALL in network order
	// TCA_OPTIONS with TCA_U32_SEL: no key, so everything matches.
	options := attribute(2, attribute(5, make([]byte, 16)))
	change(t, unix.NETLINK_ROUTE, unix.RTM_NEWTFILTER, unix.NLM_F_CREATE, append(u32, append(attribute(tcaKind, []byte("u32\x00")), options...)...))
	leaks, err := before.Since()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`^rule tc qdisc clsact ffff0000 on link index 1$`, `^rule tc filter u32 \w+, priority 7, parent fffffff2, on link index 1$`} {
		if !slices.ContainsFunc(leaks, func(l Leak) bool { return regexp.MustCompile(want).MatchString(l.String()) }) {
			t.Errorf("%s not in %q", want, leaks)
		}
	}
	change(t, unix.NETLINK_ROUTE, unix.RTM_DELQDISC, 0, append(clsact, attribute(tcaKind, []byte("clsact\x00"))...))

	change(t, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE,
		append([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_TABLE_NAME, []byte("planted\x00"))...))
	sees(t, before, Rule, `^rule nft table of family 1 planted$`)
	change(t, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE,
		append([]byte{unix.NFPROTO_INET, 0, 0, 0}, append(attribute(unix.NFTA_CHAIN_TABLE, []byte("planted\x00")), attribute(unix.NFTA_CHAIN_NAME, []byte("row\x00"))...)...))
	change(t, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND,
		append([]byte{unix.NFPROTO_INET, 0, 0, 0}, append(attribute(unix.NFTA_RULE_TABLE, []byte("planted\x00")), attribute(unix.NFTA_RULE_CHAIN, []byte("row\x00"))...)...))
	sees(t, before, Rule, `nft table of family 1 planted$`, `nft chain of family 1 planted row$`, `nft rule of family 1 planted row handle [0-9a-f]+$`)
	change(t, unix.NETLINK_NETFILTER, unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELTABLE, 0,
		append([]byte{unix.NFPROTO_INET, 0, 0, 0}, attribute(unix.NFTA_TABLE_NAME, []byte("planted\x00"))...))

	during := Snapshot(t)
	change(t, unix.NETLINK_ROUTE, unix.RTM_DELLINK, 0, append(make([]byte, unix.SizeofIfInfomsg), attribute(unix.IFLA_IFNAME, []byte("planted\x00"))...))
	sees(t, during, Link, `^link planted .* is gone`, `^link veth0 .* is gone`)
	clean(t, before)
}

// attribute is one netlink attribute, padded.
func attribute(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = append(b, value...)
	return append(b, make([]byte, align4(len(value))-len(value))...)
}

// change sends one request, for nftables inside the batch that it demands, and
// waits for its acknowledgement.
func change(t *testing.T, protocol int, kind, flags uint16, body []byte) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	request := appendMessage(nil, kind, unix.NLM_F_REQUEST|unix.NLM_F_ACK|flags, body)
	if protocol == unix.NETLINK_NETFILTER {
		mark := []byte{0, 0, 0, unix.NFNL_SUBSYS_NFTABLES}
		request = append(appendMessage(nil, unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, mark), request...)
		request = appendMessage(request, unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, mark)
	}
	if err := unix.Sendto(fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, answer, 0)
	if err != nil || n < unix.NLMSG_HDRLEN+4 {
		t.Fatalf("answer of %d bytes: %v", n, err)
	}
	if code := int32(binary.NativeEndian.Uint32(answer[unix.NLMSG_HDRLEN:])); code != 0 {
		t.Fatalf("netlink request %d: %v", kind, unix.Errno(-code))
	}
}

// TestCgroup plants a directory in a stand-in for the hierarchy, and a real group too
// where the caller may make one.
func TestCgroup(t *testing.T) {
	real, err := cgroupRoots()
	if err != nil {
		t.Fatal(err)
	}
	for _, root := range append(real, t.TempDir()) {
		before := Snapshot(t, func(s *scope) { s.cgroups = []string{root} })
		group := filepath.Join(root, fmt.Sprintf("planted-%d", os.Getpid()))
		if err := os.Mkdir(group, 0o700); err != nil {
			t.Fatal(err)
		}
		sees(t, before, Cgroup, `^cgroup `+regexp.QuoteMeta(group)+`: processes: $`)
		if err := os.Remove(group); err != nil {
			t.Fatal(err)
		}
		clean(t, before)
	}
}

func TestFile(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	t.Setenv("TMPDIR", t.TempDir())
	before := Snapshot(t)
	state := filepath.Join(runtime, "rl-run", "container", "state.json")
	temporary := filepath.Join(os.TempDir(), "rl-run-planted")
	if err := errors.Join(os.MkdirAll(filepath.Dir(state), 0o700), os.WriteFile(state, nil, 0o600), unix.Mkfifo(temporary, 0o600)); err != nil {
		t.Fatal(err)
	}
	sees(t, before, File, `rl-run: d`, `rl-run/container: d`, `rl-run/container/state.json: -`, `^file `+temporary+`: p`)
	if err := errors.Join(os.RemoveAll(filepath.Join(runtime, "rl-run")), os.Remove(temporary)); err != nil {
		t.Fatal(err)
	}
	clean(t, before)
}

func TestFD(t *testing.T) {
	before := Snapshot(t)
	f, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	sees(t, before, FD, fmt.Sprintf(`^fd %d \(/dev/null\)$`, f.Fd()))
	f.Close()
	clean(t, before)
}

func TestWaitIsPatient(t *testing.T) {
	dir := t.TempDir()
	before := Snapshot(t, Paths(filepath.Join(dir, "*")))
	file := filepath.Join(dir, "late")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if leaks, err := before.Wait(100 * time.Millisecond); err != nil || len(leaks) != 1 || time.Since(start) < 100*time.Millisecond {
		t.Errorf("after %v: %v, %v", time.Since(start), leaks, err)
	}
	removed := make(chan error, 1)
	time.AfterFunc(100*time.Millisecond, func() { removed <- os.Remove(file) })
	if leaks, err := before.Wait(time.Minute); err != nil || len(leaks) != 0 {
		t.Errorf("%v, %v", leaks, err)
	}
	if err := <-removed; err != nil {
		t.Error(err)
	}
}

// recorder is a test that takes down its failures and clean-ups.
type recorder struct {
	testing.TB
	failures []string
	cleanups []func()
}

func (r *recorder) Helper() {}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func TestWatchReports(t *testing.T) {
	dir := t.TempDir()
	r := &recorder{TB: t}
	Watch(r, Paths(filepath.Join(dir, "*")))
	for _, name := range []string{"one", "two"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range r.cleanups {
		f()
	}
	want := fmt.Sprintf("not as before within 2s:\n\tfile %s/one: ----------\n\tfile %[1]s/two: ----------", dir)
	if !slices.Equal(r.failures, []string{want}) {
		t.Errorf("reported %q, want %q", r.failures, want)
	}
}

func TestSupervisorExitCodes(t *testing.T) {
	for what, want := range map[string]int{"exit-7": 7, "die": 128 + int(unix.SIGKILL)} {
		err := planter(what).Run()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != want {
			t.Errorf("%s: %v, want exit code %d", what, err, want)
		}
	}
}

func TestSupervisorEndsWhatIsLeft(t *testing.T) {
	c := planter("leave-and-pass")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	err := c.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(stderr.String(), "leak: left behind by the tests: pid ") {
		t.Errorf("%v, %q", err, stderr.String())
	}
}
