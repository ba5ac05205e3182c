package userns

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rl-run/rl-run/plan"
	"golang.org/x/sys/unix"
)

// skip leaves a test out for want of something on this machine; where everything
// is there, as in CI, RLRUN_NO_SKIP=1 makes it a failure.
func skip(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("RLRUN_NO_SKIP") == "1" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// asPlainUser runs the rest of the test as a user with subordinate ids: here,
// where the caller is one, else, for root, in this binary started once more as
// such a user of this machine. It is false in the process that only started it.
func asPlainUser(t *testing.T) bool {
	t.Helper()
	if uid := os.Geteuid(); uid != 0 {
		s := LookupSubordinate(uint32(uid), os.Getenv("PATH"))
		if len(s.UID) == 0 || len(s.GID) == 0 {
			skip(t, fmt.Sprintf("uid %d has no subordinate ids", uid))
		}
		return true
	}
	uid, gid, found := plainUser(t)
	if !found {
		skip(t, "no plain user with subordinate ids on this machine")
	}
	// By a descriptor: the binary may lie where only root can look it up.
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd := exec.Command("setpriv", "--reuid", formatID(uid), "--regid", formatID(gid), "--clear-groups", "--inh-caps=-all",
		"/proc/self/fd/3", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.ExtraFiles = []*os.File{self}
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "RLRUN_NO_SKIP=" + os.Getenv("RLRUN_NO_SKIP")}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as uid %d: %v\n%s", uid, err, out)
	}
	return false
}

func plainUser(t *testing.T) (uid, gid uint32, found bool) {
	t.Helper()
	text, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(line, ":")
		if len(fields) < 4 {
			continue
		}
		if _, err := fmt.Sscan(fields[2]+" "+fields[3], &uid, &gid); err != nil || uid == 0 {
			continue
		}
		if s := LookupSubordinate(uid, os.Getenv("PATH")); len(s.UID) > 0 && len(s.GID) > 0 {
			return uid, gid, true
		}
	}
	return 0, 0, false
}

// child starts a process in a new user namespace without maps. It ends with its
// standard input, at the latest with the test.
//
// The command finds the test binary as descriptor 3, and has capabilities in its
// namespace although it was started by an exec before there was a map.
func child(t testing.TB, command ...string) (pid int, stdin io.WriteCloser, wait func() (string, error)) {
	t.Helper()
	if len(command) == 0 {
		command = []string{"cat"}
	}
	cmd := exec.Command(command[0], command[1:]...)
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	cmd.ExtraFiles = []*os.File{self}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
		Pdeathsig:   unix.SIGKILL,
	}
	stdin, err = cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatalf("a new user namespace: %v", err)
	}
	done := false
	wait = func() (string, error) {
		if done {
			return out.String(), nil
		}
		done = true
		_ = stdin.Close()
		err := cmd.Wait()
		return out.String(), err
	}
	t.Cleanup(func() { _, _ = wait() })
	return cmd.Process.Pid, stdin, wait
}

func compile(t testing.TB, req Request) Result {
	t.Helper()
	c, err := Probe(req.Mode, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Compile(req, c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// realCaller is a plain caller for whom helpers work, or the test is left out.
func realCaller(t testing.TB) Caller {
	t.Helper()
	c, err := Probe(ModeAuto, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	if how, reason := chooseWay(c); how.Way != WayHelpers {
		skip(t, fmt.Sprintf("no helpers: %s%s", how.Way, reason))
	}
	return c
}

func setgroups(t *testing.T, pid int) string {
	t.Helper()
	text, err := os.ReadFile(procPath(pid, "setgroups"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

func TestWriteMapsHelpers(t *testing.T) {
	if !asPlainUser(t) {
		return
	}
	c := realCaller(t)
	first := c.Subordinate.UID[0].Start
	firstGroup := c.Subordinate.GID[0].Start
	for _, test := range []struct {
		name string
		req  Request
	}{
		{"auto", Request{}},
		{"keep-id", Request{Mode: ModeKeepID}},
		{"uidmap", Request{
			UID: ext(7, first+5, 3, 0, c.UID, 1, 100, first+8, 2),
			GID: ext(0, firstGroup, 1),
		}},
		{"own gid alone", Request{UID: ext(0, first, 3), GID: ext(0, c.GID, 1)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := Compile(test.req, c)
			if err != nil {
				t.Fatal(err)
			}
			if r.How.Way != WayHelpers {
				t.Fatalf("way %+v", r.How)
			}
			pid, _, _ := child(t)
			if err := WriteMaps(pid, r.Maps, r.How); err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(procPath(pid, "uid_map"))
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(strings.Fields(string(text)), " "); got != strings.Join(strings.Fields(string(Text(r.Maps.UID))), " ") {
				t.Errorf("uid_map %q, want %v", text, r.Maps.UID)
			}
			if denied := setgroups(t, pid) == "deny"; denied != r.GroupsStay {
				t.Errorf("setgroups denied: %v, GroupsStay %v", denied, r.GroupsStay)
			}
		})
	}
}

func TestVerifyMismatch(t *testing.T) {
	if !asPlainUser(t) {
		return
	}
	r := compile(t, Request{Mode: ModeSingle})
	pid, _, _ := child(t)
	err := Verify(pid, r.Maps)
	checkError(t, err, fmt.Sprintf("map ids: /proc/%d/uid_map: holds nothing, not 0 %d 1", pid, os.Geteuid()))
	if err := WriteMaps(pid, r.Maps, r.How); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		change func(*Maps)
		err    string
	}{
		{"same", func(*Maps) {}, ""},
		{"other inside uid", func(m *Maps) { m.UID[0].Inside = 5 }, "uid_map: holds 0 "},
		{"other host gid", func(m *Maps) { m.GID[0].Outside++ }, "gid_map: holds 0 "},
		{"more", func(m *Maps) { m.UID = append(m.UID, plan.Extent{Inside: 1, Outside: 7, Count: 1}) }, ", 1 7 1"},
	} {
		m := Maps{UID: slices.Clone(r.Maps.UID), GID: slices.Clone(r.Maps.GID)}
		c.change(&m)
		err := Verify(pid, m)
		checkError(t, err, c.err)
		if _, ok := errors.AsType[*MapError](err); err != nil && !ok {
			t.Errorf("%s: a %T", c.name, err)
		}
	}
	// A second write is refused by the kernel.
	checkError(t, WriteMaps(pid, r.Maps, r.How), "map ids: write /proc/")
}

func TestWriteMapsSelf(t *testing.T) {
	if !asPlainUser(t) {
		return
	}
	r := compile(t, Request{Mode: ModeSingle})
	if r.How.Way != WaySelf || !r.GroupsStay {
		t.Fatalf("got %+v", r)
	}
	t.Run("by the parent", func(t *testing.T) {
		pid, _, _ := child(t)
		if err := WriteMaps(pid, r.Maps, r.How); err != nil {
			t.Fatal(err)
		}
		if s := setgroups(t, pid); s != "deny" {
			t.Errorf("setgroups %q", s)
		}
	})
	t.Run("by the process", func(t *testing.T) {
		pid, stdin, wait := child(t, "sh", "-c",
			`printf deny >/proc/self/setgroups; printf "$1" >/proc/self/uid_map; printf "$2" >/proc/self/gid_map; id -u; id -g; read _`,
			"sh", string(Text(r.Maps.UID)), string(Text(r.Maps.GID)))
		if _, err := io.WriteString(stdin, "\n"); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Second)
		err := Verify(pid, r.Maps)
		for err != nil && time.Now().Before(deadline) && unix.Kill(pid, 0) == nil {
			if out, _ := wait(); out == "0\n0\n" {
				return // it was faster than we
			}
			err = Verify(pid, r.Maps)
		}
		out, waitErr := wait()
		if out != "0\n0\n" || waitErr != nil {
			t.Errorf("%q, %v; %v", out, waitErr, err)
		}
	})
}

func TestWriteMapsErrors(t *testing.T) {
	if !asPlainUser(t) {
		return
	}
	c := realCaller(t)
	r, err := Compile(Request{}, c)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	script := func(name, text string) string { return plant(t, dir, name, "#!/bin/sh\n"+text, 0o700) }
	ok := script("ok", "exit 0")
	copied := filepath.Join(dir, "newuidmap")
	if out, err := exec.Command("cp", r.How.NewUIDMap, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	helpers := func(uid, gid string) How { return How{Way: WayHelpers, NewUIDMap: uid, NewGIDMap: gid} }
	foreign := Maps{UID: ext(0, 0, 1), GID: r.Maps.GID}
	foreignGroup := Maps{UID: r.Maps.UID, GID: ext(0, 0, 1)}
	for _, test := range []struct {
		name string
		m    Maps
		how  How
		err  string
	}{
		{"foreign uid", foreign, r.How, "map ids: newuidmap: uid range [0-1) -> [0-1) not allowed"},
		{"foreign gid", foreignGroup, r.How, "map ids: newgidmap: gid range [0-1) -> [0-1) not allowed"},
		{"missing", r.Maps, helpers("/nonexistent/newuidmap", r.How.NewGIDMap), "map ids: exec /nonexistent/newuidmap: no such file or directory"},
		{"second missing", r.Maps, helpers(r.How.NewUIDMap, "/nonexistent/newgidmap"), "map ids: exec /nonexistent/newgidmap: no such file or directory"},
		{"not setuid", r.Maps, helpers(copied, r.How.NewGIDMap), copied + ": neither setuid root nor with the file capability cap_setuid"},
		{"killed", r.Maps, helpers(script("newuidmap-killed", "kill -9 $$"), r.How.NewGIDMap), "map ids: newuidmap-killed: ended by signal 9 (killed)"},
		{"silent failure", r.Maps, helpers(script("newuidmap-silent", "exit 9"), r.How.NewGIDMap), "map ids: newuidmap-silent: exit status 9"},
		{"liar", r.Maps, helpers(ok, ok), "uid_map: holds nothing, not 0 "},
		{"half a liar", r.Maps, helpers(r.How.NewUIDMap, ok), "gid_map: holds nothing, not 0 "},
		{"no privilege to write directly", r.Maps, How{Way: WayDirect}, "uid_map: operation not permitted"},
		{"own ids only, not granted", foreign, How{Way: WaySelf}, "uid_map: operation not permitted"},
		{"no way", r.Maps, How{}, `map ids: no way "" to write maps`},
		{"invalid", Maps{UID: ext(0, 1, 0), GID: r.Maps.GID}, r.How, "map ids: uid map: 0:1:0: a count of 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pid, _, _ := child(t)
			err := WriteMaps(pid, test.m, test.how)
			checkError(t, err, test.err)
			if _, ok := errors.AsType[*MapError](err); !ok {
				t.Errorf("a %T", err)
			}
		})
	}
	t.Run("dead process", func(t *testing.T) {
		pid, _, wait := child(t)
		if _, err := wait(); err != nil {
			t.Fatal(err)
		}
		checkError(t, WriteMaps(pid, r.Maps, r.How), "map ids: newuidmap: ")
		checkError(t, WriteMaps(pid, r.Maps, How{Way: WayDirect}), "map ids: open /proc/"+strconv.Itoa(pid)+"/uid_map: no such file or directory")
	})
}

// A helper that hangs is killed, in the test after its own time limit only.
func TestHelperHangs(t *testing.T) {
	hang := &program{path: "/bin/sleep", args: []string{"1000"}, output: stderr}
	if err := runAll(50*time.Millisecond, hang); err != nil {
		t.Fatal(err)
	}
	checkError(t, helperFailure(hang, unix.CAP_SETUID), "map ids: sleep: no end after 1m0s, killed; /bin/sleep: neither setuid root")
}

func TestWriteMapsDirect(t *testing.T) {
	if os.Geteuid() != 0 {
		// A plain user is root in a namespace of his own: TestNested.
		return
	}
	r := compile(t, Request{UID: ext(0, 0, 1, 1, 100000, 10), GID: ext(0, 0, 5)})
	if r.How.Way != WayDirect || r.GroupsStay {
		t.Fatalf("got %+v", r)
	}
	pid, _, _ := child(t)
	if err := WriteMaps(pid, r.Maps, r.How); err != nil {
		t.Fatal(err)
	}
	if s := setgroups(t, pid); s != "allow" {
		t.Errorf("setgroups %q", s)
	}
}

// More than five extents come back in the kernel's order, not ours.
func TestWriteMapsManyExtents(t *testing.T) {
	if !asPlainUser(t) {
		return
	}
	c := realCaller(t)
	var asked []plan.Extent
	for i := range uint32(150) {
		asked = append(asked, plan.Extent{Inside: 1000 - 3*i, Outside: c.Subordinate.UID[0].Start + 2*i, Count: 1})
	}
	r, err := Compile(Request{UID: asked, GID: ext(0, c.GID, 1)}, c)
	if err != nil {
		t.Fatal(err)
	}
	pid, _, _ := child(t)
	if err := WriteMaps(pid, r.Maps, r.How); err != nil {
		t.Fatal(err)
	}
	if err := Verify(pid, Maps{UID: asked, GID: r.Maps.GID}); err != nil {
		t.Error(err)
	}
}

// TestNested is what a caller inside a container sees: this test once more, as
// root of a user namespace whose map has two extents.
func TestNested(t *testing.T) {
	if os.Getenv("RLRUN_USERNS_NESTED") == "1" {
		testInside(t)
		return
	}
	if !asPlainUser(t) {
		return
	}
	c := realCaller(t)
	r, err := Compile(Request{}, c)
	if err != nil {
		t.Fatal(err)
	}
	// The shell waits for its map; only an exec after that gives its root
	// capabilities.
	pid, stdin, wait := child(t, "sh", "-c", `read _ && RLRUN_USERNS_NESTED=1 exec /proc/self/fd/3 -test.run='^TestNested$' -test.v`)
	if err := WriteMaps(pid, r.Maps, r.How); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, "\n"); err != nil {
		t.Fatal(err)
	}
	out, err := wait()
	if err != nil || !strings.Contains(out, "--- PASS: TestNested") {
		t.Errorf("inside: %v\n%s", err, out)
	}
}

func testInside(t *testing.T) {
	c, err := Probe(ModeAuto, os.Getenv("PATH"))
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Parent.UID) < 2 || c.UID != 0 || !c.privileged() || c.SetgroupsDenied {
		t.Fatalf("got %+v", c)
	}
	if !strings.Contains(c.Helpers.UID.Problem, "its owner is not root of this user namespace") {
		t.Errorf("helper of the host: %+v", c.Helpers.UID)
	}
	c.Subordinate = Subordinate{} // whatever root has on this machine
	for _, req := range []Request{{}, {Mode: ModeKeepID}, {Mode: ModeSingle}, {UID: ext(50, 0, 100)}, {UID: ext(0, 5, 10)}} {
		r, err := Compile(req, c)
		if err != nil {
			t.Fatal(err)
		}
		pid, _, _ := child(t)
		if err := WriteMaps(pid, r.Maps, r.How); err != nil {
			t.Errorf("%+v: %v", req, err)
		}
	}
	// That Split is needed: the kernel refuses a line over two extents of ours.
	pid, _, _ := child(t)
	m := Maps{UID: ext(50, 0, 100), GID: ext(50, 0, 100)}
	checkError(t, WriteMaps(pid, m, How{Way: WayDirect}), "uid_map: operation not permitted")
	// A plain user in here, with the host's helpers, has his own id alone.
	c.CapSetUID, c.CapSetGID = false, false
	c.Subordinate = Subordinate{Name: "alice", UID: []Range{{5, 10}}, GID: []Range{{5, 10}}}
	r, err := Compile(Request{}, c)
	if err != nil || r.How.Way != WaySelf || len(r.Fallbacks) != 1 || !strings.Contains(r.Fallbacks[0], "its owner is not root") {
		t.Errorf("got %+v, %v", r, err)
	}
}
