package hostile

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/internal/trial"
)

// overwritten is what the attack writes into executables.
const overwritten = "#!/bin/sh\necho overwritten\n"

// attackExecutables opens the executable of each process that comes into its container, holds on to it, and tries to
// overwrite it until SIGTERM: while it runs that is ETXTBSY, and afterwards it is not (CVE-2019-5736). Until SIGUSR1 it
// stops those processes to look at them.
func attackExecutables([]string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM, unix.SIGUSR1)
	stopping := true
	const evil = "/bin/evil"
	if err := os.WriteFile(evil, []byte("#!/proc/self/exe\n"), 0o755); err != nil {
		return err
	}
	fmt.Println("ready")
	seen := map[string]bool{}
	var held []int
	for {
		select {
		case sig := <-stop:
			if sig == unix.SIGUSR1 {
				stopping = false
				fmt.Println("watching")
				break
			}
			fmt.Println("looked at", len(seen))
			return nil
		default:
		}
		names, err := filepath.Glob("/proc/[0-9]*")
		if err != nil {
			return err
		}
		for _, proc := range names {
			pid, err := strconv.Atoi(filepath.Base(proc))
			if err != nil || pid == 1 || pid == os.Getpid() {
				continue
			}
			seen[proc] = true
			// Stopped, it shows its executable for longer.
			stopped := stopping && unix.Kill(pid, unix.SIGSTOP) == nil
			for _, flags := range []int{unix.O_RDONLY, unix.O_PATH} {
				if fd, err := unix.Open(proc+"/exe", flags|unix.O_CLOEXEC, 0); err == nil {
					held = append(held, fd)
				}
			}
			if stopped {
				_ = unix.Kill(pid, unix.SIGCONT)
			}
		}
		var kept []int
		for i, fd := range held {
			path := fmt.Sprintf("/proc/self/fd/%d", fd)
			if to, err := os.Readlink(path); err != nil || to == "/bin/busybox" || to == attackPath || i < len(held)-200 {
				_ = unix.Close(fd)
				continue
			}
			kept = append(kept, fd)
			if f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0); err == nil {
				_, _ = io.WriteString(f, overwritten)
				_ = f.Close()
			}
		}
		held = kept
	}
}

// TestOverwritingTheLauncher has a container's root try to overwrite the programs of those who join it, and by way of links to
// /proc/self/exe.
func TestOverwritingTheLauncher(t *testing.T) {
	tree := begin(t)
	nsenter := trial.NeedTool(t, "nsenter")
	dir := t.TempDir()
	// Programs that the caller owns and may write to.
	own := func(name, from string) (path, text string) {
		path, text = dir+"/"+name, read(t, from)
		check(t, os.WriteFile(path, []byte(text), 0o755))
		return path, text
	}
	run, runText := own("rl-run", trial.Bin(t, "rl-run"))
	check(t, os.Symlink("rl-run", dir+"/rl-exec"))
	enter, enterText := own("nsenter", nsenter)

	// attacked joins a container with these options again and again, and returns the attacker in it, who goes on.
	ran := 0
	attacked := func(options ...string) (attacker *trial.Running, pid int) {
		t.Helper()
		c := inside(t, "overwrite", tree, append([]string{"--name", "overwrite", "--net=none"}, options...))
		c.Path, c.Timeout = run, 4*time.Minute
		attacker = c.Start(t)
		attacker.Stdout("ready\n")
		soon(t, "it is listed", func() bool {
			e, err := container.Open(runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Getuid())).Find("overwrite")
			if err != nil {
				return false
			}
			defer e.Close()
			pid = e.State.Init.PID
			return pid != 0
		})
		before := ran
		for n := range trial.Mass(100) {
			words := [][]string{{"/bin/true"}, {"/bin/evil"}, {"sh", "-c", "exec /proc/self/exe true"}, {"/proc/self/exe", "true"}}[n%4]
			r := trial.Command{Path: dir + "/rl-exec", Args: append([]string{"overwrite"}, words...)}.Run(t)
			if r.Code == 0 {
				ran++
			}
			if now := read(t, run); now != runText {
				t.Fatalf("%q, %q: the launcher is overwritten: %d bytes, %q", options, words, len(now), now[:min(len(now), 40)])
			}
		}
		// The attack goes on for a moment in which nothing of rl-run runs but the attacker's own launcher.
		time.Sleep(100 * time.Millisecond)
		if read(t, run) != runText {
			t.Errorf("%q: the launcher is overwritten", options)
		}
		if ran-before < trial.Mass(100)/4 {
			t.Errorf("%q: %d commands ran: that is no race", options, ran-before)
		}
		return attacker, pid
	}
	attacker, _ := attacked()
	attacker.Signal(unix.SIGTERM)
	attacker.Wait().OK(t)
	attacker, pid := attacked("--cap-add=ALL", "--security-opt", "seccomp=unconfined", "--security-opt", "unmask=ALL")

	// nsenter stops itself when its child is stopped.
	attacker.Signal(unix.SIGUSR1)
	attacker.Stdout("watching\n")
	tries := 0
	for ; tries < 200 && read(t, enter) == enterText; tries++ {
		// By way of a shell, for which ETXTBSY is an exit code.
		_ = trial.Command{Path: "/bin/sh", Args: []string{
			"-c", `"$@"`, "sh", enter, "-t", strconv.Itoa(pid), "-U", "--preserve-credentials", "-m", "-p", "/bin/sleep", "0.02",
		}}.Run(t)
	}
	attacker.Signal(unix.SIGTERM)
	report := attacker.Wait().OK(t)
	t.Logf("%d commands ran, nsenter is overwritten after %d; %s", ran, tries, bytes.TrimSpace([]byte(report)))
	if now := read(t, enter); now != overwritten {
		t.Errorf("control: nsenter is not overwritten after %d tries: %d bytes", tries, len(now))
	}
	// What was seen and held shows no difference afterwards either.
	if read(t, run) != runText {
		t.Error("the launcher is overwritten at the end")
	}
}
