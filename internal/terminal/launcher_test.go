package terminal

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// launcherMode is set in the environment of this test program when it is to be
// a launcher, with the command of its "container" as arguments, or that command.
const launcherMode = "TERMINAL_TEST_LAUNCHER"

func TestMain(m *testing.M) {
	switch mode := os.Getenv(launcherMode); mode {
	case "":
		os.Exit(m.Run())
	case "inside":
		os.Exit(inside(len(os.Args) > 1))
	default:
		os.Exit(launch(mode, os.Args[1:]))
	}
}

// inside is a command that repeats the lines that it reads, prints the size of
// its terminal when it is told that this changed, and ends by "exit N". If it
// ticks, it prints something all the time.
func inside(ticks bool) int {
	changed := make(chan os.Signal, 1)
	signal.Notify(changed, unix.SIGWINCH)
	lines := make(chan string)
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			lines <- in.Text()
		}
		close(lines)
	}()
	tick := time.NewTicker(20 * time.Millisecond)
	if !ticks {
		tick.Stop()
	}
	fmt.Println("inside")
	for {
		select {
		case <-tick.C:
			fmt.Println("tick")
		case <-changed:
			if ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
				fmt.Println("size", ws.Row, ws.Col)
			}
		case line, ok := <-lines:
			if code, isExit := strings.CutPrefix(line, "exit "); isExit || !ok {
				n, _ := strconv.Atoi(code)
				return n
			}
			fmt.Println("got", line)
		}
	}
}

// launch runs a command on a pty of its own and connects that with the user's
// terminal, the way a launcher does, though with no container. SIGTERM and
// its like end the command by SIGKILL, SIGINT is passed on. With mode "panic" it panics on SIGUSR1.
func launch(mode string, command []string) int {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, unix.SIGWINCH, unix.SIGTSTP, unix.SIGCONT)
	signal.Notify(signals, unix.SIGTERM, unix.SIGHUP, unix.SIGINT, unix.SIGQUIT, unix.SIGUSR1)

	session, err := Open(0, 1)
	if err != nil {
		return report(err)
	}
	defer func() { _ = session.Close() }()
	inner, err := newPTY()
	if err != nil {
		return report(err)
	}
	if ws, ok := session.Size(); ok {
		if err := SetSize(inner.master, ws); err != nil {
			return report(err)
		}
	}
	slave := os.NewFile(uintptr(inner.slave), "slave")
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: unix.SIGKILL}
	if err := cmd.Start(); err != nil {
		return report(err)
	}
	_ = slave.Close()

	if err := session.Raw(); err != nil {
		return report(err)
	}
	relayed := make(chan error, 1)
	go func() { relayed <- session.Relay(inner.master) }()
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	for {
		select {
		case sig := <-signals:
			switch {
			case session.HandleSignal(sig):
			case sig == unix.SIGUSR1 && mode == "panic":
				panic("asked for")
			case sig == unix.SIGINT:
				_ = cmd.Process.Signal(sig)
			default:
				_ = cmd.Process.Kill()
			}
		case err := <-relayed:
			inner.closeMaster() // hangs up what is left
			<-exited
			return report(err)
		case <-exited:
			session.End()
			if err := <-relayed; err != nil {
				return report(err)
			}
			return exitCode(cmd.ProcessState)
		}
	}
}

func exitCode(state *os.ProcessState) int {
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return state.ExitCode()
}

func report(err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, "launcher:", err)
	}
	return 125
}

// launcherLine is a line of shell that runs the launcher with a command, in the
// words of the shell. @ stands for inside.
func launcherLine(t *testing.T, mode, command string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	self = "'" + strings.ReplaceAll(self, "'", `'\''`) + "'"
	command = strings.ReplaceAll(command, "@", "env "+launcherMode+"=inside "+self)
	return launcherMode + "=" + mode + " " + self + " " + command
}
