//go:build linux && (amd64 || arm64)

package guard

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestStartsAgain(t *testing.T) {
	t.Parallel()
	startsAgain(t, setup{})
}

// startsAgain checks when children that end at once are started.
func startsAgain(t *testing.T, o setup) {
	t.Helper()
	g := o.script(t, "echo started >&3")
	g.line(t)
	last := time.Now()
	for i, want := range []time.Duration{0, 100, 200, 400, 800, 1000, 1000} {
		want *= time.Millisecond
		g.line(t)
		now := time.Now()
		// A child's own start and end come to it, on a machine that has other things to do.
		if got := now.Sub(last); got < want-50*time.Millisecond || got > want+900*time.Millisecond {
			t.Errorf("start %d: after %v, want %v", i+2, got, want)
		}
		last = now
	}
}

// A child that lived for ten seconds is started again at once.
func TestStartsAgainAfterLongLife(t *testing.T) {
	t.Parallel()
	// The fourth lives, and those before it are forgotten.
	g := setup{env: []string{"DIR=" + t.TempDir()}}.script(t, `
		n=$(ls "$DIR" | wc -l); : >"$DIR/$n"; echo started >&3
		[ "$n" -ne 3 ] || sleep 10.2; echo ends >&3`)
	for range 4 {
		g.line(t)
		if g.cmd.ProcessState != nil {
			t.Fatal("the guard ended")
		}
		if len(children(t, g.cmd.Process.Pid)) > 1 {
			t.Error("two children")
		}
		if err := g.pipe.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if l, err := g.report.ReadString('\n'); err != nil || l != "ends\n" {
			t.Fatalf("%q, %v", l, err)
		}
	}
	began := time.Now()
	g.line(t)
	if took := time.Since(began); took > 90*time.Millisecond {
		t.Errorf("started again after %v", took)
	}
}

func TestEndsWithContainer(t *testing.T) {
	endsWithContainer(t, setup{})
}

// endsWithContainer checks that a guard ends soon, whatever its child is about.
func endsWithContainer(t *testing.T, o setup) {
	t.Helper()
	for _, script := range []string{
		"echo started >&3; exec sleep 1000",
		"trap '' TERM HUP INT; (setsid sleep 1000 &); echo started >&3; sleep 1000; :",
		"echo started >&3", // between two starts
	} {
		init, pidfd := standIn(t)
		o.container = pidfd
		g := o.script(t, script)
		g.line(t)
		time.Sleep(20 * time.Millisecond)
		began := time.Now()
		_ = init.Process.Kill()
		took := g.ends(t, 0).Sub(began)
		t.Logf("%s: ended after %v", script, took)
		if took > 100*time.Millisecond {
			t.Errorf("ended after %v", took)
		}
	}
}

func TestEndsWithContainerThatEndedBefore(t *testing.T) {
	init, pidfd := standIn(t)
	_ = init.Process.Kill()
	_ = init.Wait()
	setup{container: pidfd}.script(t, "sleep 1000").ends(t, 0)
}

func TestEndsWithOwner(t *testing.T) {
	ends := map[string]func() (guards, owners int){
		"read end of a pipe":  func() (int, int) { p := pipe(t); return p[0], p[1] },
		"write end of a pipe": func() (int, int) { p := pipe(t); return p[1], p[0] },
		"stream socket": func() (int, int) {
			p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := unix.Write(p[1], []byte("not read")); err != nil {
				t.Fatal(err)
			}
			return p[0], p[1]
		},
	}
	for name, make := range ends {
		guards, owners := make()
		owner := os.NewFile(uintptr(guards), "owner")
		g := setup{owner: owner}.script(t, "echo started >&3; exec sleep 1000")
		owner.Close()
		g.line(t)
		time.Sleep(20 * time.Millisecond)
		select {
		case <-g.done:
			t.Errorf("%s: ended before", name)
		default:
		}
		began := time.Now()
		unix.Close(owners)
		if took := g.ends(t, 0).Sub(began); took > 100*time.Millisecond {
			t.Errorf("%s: ended after %v", name, took)
		}
	}
}

func pipe(t *testing.T) (p [2]int) {
	t.Helper()
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	return p
}

// Neither the guard's end by SIGKILL nor that of the container, at any moment, leaves anybody.
func TestKilledAtRandom(t *testing.T) {
	const kills = 500
	for range kills {
		init, pidfd := standIn(t)
		g := setup{container: pidfd}.script(t, "setsid sleep 1000 & (setsid sleep 1000 &); sleep 0.002")
		pidfd.Close()
		time.Sleep(time.Duration(rand.IntN(8000)) * time.Microsecond)
		if rand.IntN(2) == 0 {
			_ = g.cmd.Process.Kill()
			g.ends(t, -1)
		} else {
			_ = init.Process.Kill()
			g.ends(t, 0)
		}
		_ = init.Process.Kill()
		_ = init.Wait()
	}
}

// The other side of what the first child alone has sees its end, and a later child disturbs nobody with it.
func TestOnce(t *testing.T) { once(t, setup{}) }

func once(t *testing.T, o setup) {
	t.Helper()
	dir := t.TempDir()
	o.once, o.env = true, []string{"DIR=" + dir}
	g := o.script(t, `
		n=$(ls "$DIR" | wc -l); echo "start $n" >&3 && readlink /proc/self/fd/3 >"$DIR/$n"
		exec sleep 0.1`)
	if got := g.line(t); got != "start 0" {
		t.Errorf("%q", got)
	}
	if rest, err := io.ReadAll(g.report); len(rest) != 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	for name, want := range map[string]string{"0": "pipe:", "1": os.DevNull, "2": os.DevNull} {
		eventually(t, "start "+name, func() bool {
			b, _ := os.ReadFile(dir + "/" + name)
			return len(b) > 1
		})
		if b, err := os.ReadFile(dir + "/" + name); err != nil || !strings.HasPrefix(string(b), want) {
			t.Errorf("descriptor of start %s: %q, %v, want %s", name, b, err, want)
		}
	}
}

// The first child does not begin before it has what it waits for, and later ones have the same.
func TestGiven(t *testing.T) { isGiven(t, setup{}) }

func isGiven(t *testing.T, o setup) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "given")
	if err := os.WriteFile(file, []byte("a word"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, messages := range []int{2, 1, 0} {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		o.given = os.NewFile(uintptr(pair[1]), "socket")
		g := o.script(t, `readlink /proc/self/fd/0 >&3; ls /proc/self/fd | wc -l >&3`)
		o.given.Close()
		if err := g.pipe.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if b, err := g.report.Peek(1); err == nil || !os.IsTimeout(err) {
			t.Errorf("it did not wait: %q, %v", b, err)
		}
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		for range messages {
			if err := unix.Sendmsg(pair[0], []byte{0}, unix.UnixRights(int(f.Fd())), nil, 0); err != nil {
				t.Fatal(err)
			}
		}
		f.Close()
		if messages < 2 { // one of the two waits in vain
			unix.Close(pair[0])
			if messages == 1 {
				continue // by then the child may have begun
			}
			g.ends(t, Failure)
			continue
		}
		had := ""
		for start := range 3 {
			if got := g.line(t); got != file {
				t.Errorf("start %d: standard input is %s", start+1, got)
			}
			if got := g.line(t); start == 0 {
				had = got
			} else if got != had {
				t.Errorf("start %d: %s descriptors, the first had %s", start+1, got, had)
			}
		}
		// Both have let go of the socket: that is how the other side knows.
		if n, err := unix.Read(pair[0], make([]byte, 1)); n != 0 || err != nil {
			t.Errorf("the socket is held: %d, %v", n, err)
		}
		unix.Close(pair[0])
	}
}

func TestNoSuchChild(t *testing.T) {
	g := setup{once: true}.start(t, "/nonexistent")
	if rest, err := io.ReadAll(g.report); len(rest) != 0 || err != nil {
		t.Errorf("%q, %v", rest, err)
	}
	select {
	case <-g.done:
		t.Error("the guard ended")
	case <-time.After(50 * time.Millisecond):
	}
}

func TestFollows(t *testing.T) {
	t.Parallel()
	follows(t, setup{})
}

// follows checks that a child is started again when the text of a file is another one, and not otherwise.
func follows(t *testing.T, o setup) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const beginning = "a first line\n"
	o.follow, o.env = file, []string{"FILE=" + file}
	for _, had := range []string{"", beginning + "a.b"} {
		_ = os.Remove(file)
		if had != "" {
			write(had)
		}
		g := o.script(t, `echo "$(tail -n 1 "$FILE" 2>/dev/null)" >&3; exec sleep 1000`)
		if got, want := g.line(t), strings.TrimPrefix(had, beginning); got != want {
			t.Fatalf("starts with %q, want %q", got, want)
		}
		write(had)
		write("") // as one that writes it anew has it for a moment
		if had != "" {
			if err := os.Rename(file, file+".old"); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second)
			write(had) // the same in another file
			time.Sleep(5 * time.Second)
		}
		for _, text := range []string{beginning + "a.c", beginning + "b.b"} {
			write(text)
			if got := g.line(t); got != strings.TrimPrefix(text, beginning) {
				t.Errorf("is started with %q, want %q", got, text)
			}
		}
		_ = g.cmd.Process.Kill()
	}
}

// What the child is given.
func TestChild(t *testing.T) { childGets(t, setup{}) }

func childGets(t *testing.T, o setup) {
	t.Helper()
	_, pidfd := standIn(t)
	p := pipe(t)
	defer unix.Close(p[1])
	o.owner, o.container, o.env = os.NewFile(uintptr(p[0]), "owner"), pidfd, []string{"A=b", "C=d e"}
	defer o.owner.Close()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	g := o.start(t, sh, "-c", `
		pwd >&3; echo "$A $C $0 $1" >&3
		for fd in 4 5 6 7; do [ -e /proc/$$/fd/$fd ] && readlink /proc/$$/fd/$fd >&3; done
		echo "$(grep SigBlk: /proc/self/status)" >&3; sleep 1000`, "zero", "one two")
	if o.qemu != "" {
		return // the emulator keeps descriptors of its own
	}
	for _, want := range []string{"/", "b d e zero one two", "SigBlk:\t0000000000000000"} {
		if got := g.line(t); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestReapsOrphans(t *testing.T) {
	g := setup{}.script(t, `i=0; while [ $i -lt 1000 ]; do (: &); i=$((i+1)); done; echo done >&3; exec sleep 1000`)
	g.line(t)
	eventually(t, "one child", func() bool { return len(children(t, g.cmd.Process.Pid)) == 1 })
}

func TestSignalsDoNotEnd(t *testing.T) {
	g := setup{}.script(t, "echo started >&3; exec sleep 1000")
	g.line(t)
	pid := g.cmd.Process.Pid
	for sig := 1; sig <= 64; sig++ {
		if s := unix.Signal(sig); s != unix.SIGKILL && s != unix.SIGSTOP {
			if err := unix.Kill(pid, s); err != nil {
				t.Fatal(err)
			}
		}
	}
	for range 20 {
		_ = unix.Kill(pid, unix.SIGSTOP)
		_ = unix.Kill(pid, unix.SIGCONT)
	}
	for _, child := range children(t, pid) {
		_ = unix.Kill(child, unix.SIGTERM) // which it has not blocked
	}
	g.line(t)
}

func TestBadStart(t *testing.T) {
	fd, err := MemFD()
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for argv, want := range map[string]int{
		"":                        Failure,
		"-":                       Failure,
		"- -":                     Failure,
		"- - -":                   Failure,
		"-- /bin/true":            Failure,
		"- -- /bin/true":          Failure,
		"- - - -- /bin/true":      Failure,
		"- - - - /bin/true":       Failure,
		"- - 3 - -- /bin/true":    Failure, // a file is a path from /
		"- - - 3x -- /bin/true":   Failure,
		"- - - - 3x -- /bin/true": Failure,
		"- - - - --":              Failure,
		"- - - 99 -- /bin/true":   Failure, // nothing can come there
		"99 - - - -- /bin/true":   0,       // no such owner is an owner that is gone
		"- 99 - - -- /bin/true":   0,
	} {
		c := exec.Command(fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
		c.Args = append([]string{Name}, strings.Fields(argv)...)
		_ = c.Run()
		if got := c.ProcessState.ExitCode(); got != want {
			t.Errorf("%q: exit status %d, want %d", argv, got, want)
		}
	}
}

// What the guard costs and holds.
func TestProcess(t *testing.T) {
	_, pidfd := standIn(t)
	g := setup{container: pidfd}.script(t, "echo started >&3; exec sleep 1000")
	g.line(t)
	pid := g.cmd.Process.Pid
	if got := read(t, pid, "comm"); got != Name+"\n" {
		t.Errorf("comm %q", got)
	}
	if got, err := unix.Getsid(pid); got != pid {
		t.Errorf("session %d (%v), want %d", got, err, pid)
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	var open []string
	for _, e := range entries {
		fd, err := strconv.Atoi(e.Name())
		if err != nil {
			t.Fatal(err)
		}
		// Above the test's own are those that whoever started the test lets everybody inherit.
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); fd < 7 || err != nil || flags&unix.FD_CLOEXEC != 0 {
			open = append(open, e.Name())
		}
	}
	// 4 is what the test gives where there is no owner, 6 the signalfd; /dev/null, once 7, is closed again.
	if want := []string{"0", "1", "2", "3", "4", "5", "6"}; !slices.Equal(open, want) {
		t.Errorf("open descriptors %q, want %q", open, want)
	}
	for l := range strings.Lines(read(t, pid, "maps")) {
		if mode := strings.Fields(l)[1]; strings.Contains(mode, "w") && strings.Contains(mode, "x") {
			t.Errorf("writable and executable: %s", l)
		}
	}
	var rss int
	for l := range strings.Lines(read(t, pid, "smaps_rollup")) {
		if _, err := fmt.Sscanf(l, "Rss: %d kB", &rss); err == nil {
			break
		}
	}
	t.Logf("%d kB resident", rss)
	if rss == 0 || rss > 16 {
		t.Errorf("%d kB resident, want at most 16", rss)
	}

	eventually(t, "sleep", func() bool { return status(t, pid, "State") == "S (sleeping)" })
	cpu, switches := read(t, pid, "schedstat"), status(t, pid, "voluntary_ctxt_switches")
	time.Sleep(500 * time.Millisecond)
	if read(t, pid, "schedstat") != cpu || status(t, pid, "voluntary_ctxt_switches") != switches {
		t.Error("it was busy while nothing happened")
	}
}
