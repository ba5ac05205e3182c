package trial

import (
	"encoding/json"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// PTY is a terminal, seen from the side of the person who sits at it. One command at a
// time runs in it, in the foreground.
//
// The command's parent is a session leader that outlives it: when the leader of a
// session ends, the kernel hangs the terminal up and resets its settings, and nobody could
// tell any more what the command left there.
type PTY struct {
	tb     testing.TB
	master *os.File
	screen Buffer
	seen   int // what Expect has used up

	leader     *exec.Cmd
	orders     *json.Encoder
	status     *json.Decoder
	fromLeader *os.File
	pid        int // of the command, 0 when none runs
}

// OpenPTY opens a terminal of 24 rows and 80 columns, with the settings that the kernel gives
// to a new one: echo, line editing, signals by ^C, ^Z and ^\.
func OpenPTY(tb testing.TB) *PTY {
	tb.Helper()
	p := &PTY{tb: tb}
	fail := func(what string, err error) {
		if err != nil {
			tb.Helper()
			tb.Fatalf("open a terminal: %s: %v", what, err)
		}
	}
	var err error
	p.master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	fail("ptmx", err)
	slave, err := p.openSlave()
	fail("slave", err)
	p.Resize(24, 80)

	orders, toLeader, err := os.Pipe()
	fail("pipe", err)
	fromLeader, statuses, err := os.Pipe()
	fail("pipe", err)
	p.orders, p.status, p.fromLeader = json.NewEncoder(toLeader), json.NewDecoder(fromLeader), fromLeader
	p.leader = exec.Command("/proc/self/exe")
	p.leader.Args = []string{leaderName}
	p.leader.Stdin, p.leader.Stdout, p.leader.Stderr = slave, slave, slave
	p.leader.ExtraFiles = []*os.File{orders, statuses}
	p.leader.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	fail("leader", p.leader.Start())
	for _, f := range []*os.File{slave, orders, statuses} {
		fail("close", f.Close())
	}

	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 1<<16)
		for {
			n, err := p.master.Read(buf)
			_, _ = p.screen.Write(buf[:n])
			if err != nil {
				return // EIO when the last slave was closed
			}
		}
	}()
	tb.Cleanup(func() {
		_ = toLeader.Close() // the leader kills what runs and ends
		_ = p.leader.Wait()
		_ = fromLeader.Close()
		_ = p.master.Close()
		<-read
	})
	return p
}

// openSlave goes by the master's fd: a path in /dev/pts may belong to another instance of
// devpts (TIOCGPTPEER, Linux 4.13).
func (p *PTY) openSlave() (*os.File, error) {
	var fd uintptr
	var errno unix.Errno
	p.control(func(master int) {
		if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
			errno = err.(unix.Errno) //nolint:errorlint // unwrapped, by its definition
			return
		}
		// The open flags go in place of a pointer.
		fd, _, errno = unix.Syscall(unix.SYS_IOCTL, uintptr(master), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	})
	if errno != 0 {
		return nil, os.NewSyscallError("ioctl", errno)
	}
	return os.NewFile(fd, "terminal"), nil
}

// control runs f with the master's fd, which stays non-blocking: File.Fd would change that.
func (p *PTY) control(f func(master int)) {
	p.tb.Helper()
	raw, err := p.master.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { f(int(fd)) })
	}
	if err != nil {
		p.tb.Fatalf("terminal: %v", err)
	}
}

// Start runs a command in the foreground of the terminal: c.Path, or rl-run. Of c only
// Path, Args, Dir and Env count.
func (p *PTY) Start(c Command) {
	p.tb.Helper()
	if c.Path == "" {
		c.Path = Bin(p.tb, "rl-run")
	}
	p.order(order{Path: c.Path, Args: c.Args, Dir: c.Dir, Env: c.Env})
	s := p.answer()
	if s.Error != "" {
		p.tb.Fatalf("start in a terminal: %s", s.Error)
	}
	p.pid = s.Pid
}

// Pid is the process id of the command that runs.
func (p *PTY) Pid() int { return p.pid }

// Signal sends a signal to the command alone. A key such as ^C goes by Send.
func (p *PTY) Signal(sig syscall.Signal) {
	p.tb.Helper()
	p.order(order{Signal: int(sig)})
}

// Wait waits for the command's end and returns its exit code, or -N where signal N ended it.
func (p *PTY) Wait() int {
	p.tb.Helper()
	code := p.answer().Code
	p.pid = 0
	return code
}

func (p *PTY) order(o order) {
	p.tb.Helper()
	if err := p.orders.Encode(o); err != nil {
		p.tb.Fatalf("terminal: %v", err)
	}
}

func (p *PTY) answer() status {
	p.tb.Helper()
	var s status
	err := p.fromLeader.SetReadDeadline(time.Now().Add(Timeout))
	if err == nil {
		err = p.status.Decode(&s)
	}
	if err != nil {
		p.tb.Fatalf("terminal: %v\non the screen: %q", err, p.screen.String())
	}
	return s
}

// Send types text. A control character is written as itself: "\x03" is ^C.
func (p *PTY) Send(text string) {
	p.tb.Helper()
	if _, err := p.master.WriteString(text); err != nil {
		p.tb.Fatalf("terminal: %v", err)
	}
}

// Expect waits until text appears behind what earlier calls have returned, and returns all
// from there to the end of text. It fails the test after Timeout.
func (p *PTY) Expect(text string) string {
	p.tb.Helper()
	end, ok := p.screen.find(text, p.seen, Timeout)
	all := p.screen.String()
	if !ok {
		p.tb.Fatalf("no %q on the screen; since the last match: %q", text, all[p.seen:])
	}
	start := p.seen
	p.seen = end
	return all[start:end]
}

// Screen is all that was ever shown, as the bytes that reached the terminal.
func (p *PTY) Screen() string { return p.screen.String() }

// Resize changes the size of the window; the foreground process group gets SIGWINCH.
func (p *PTY) Resize(rows, columns uint16) {
	p.tb.Helper()
	var err error
	p.control(func(master int) {
		err = unix.IoctlSetWinsize(master, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	})
	if err != nil {
		p.tb.Fatalf("resize the terminal: %v", err)
	}
}

// Termios returns the settings of the terminal; asked through the master, the kernel
// gives those of the slave.
func (p *PTY) Termios() unix.Termios {
	p.tb.Helper()
	var settings *unix.Termios
	var err error
	p.control(func(master int) { settings, err = unix.IoctlGetTermios(master, unix.TCGETS) })
	if err != nil {
		p.tb.Fatalf("settings of the terminal: %v", err)
	}
	return *settings
}
