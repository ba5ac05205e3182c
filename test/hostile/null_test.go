package hostile

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// attackNull has another file in the place of the host's /dev/null, now and then, while it runs a command again and again: how
// often and what are its arguments. It prints what the command wrote, or its first line of error.
func attackNull(args []string) error {
	var times int
	if _, err := fmt.Sscan(args[0], &times); err != nil {
		return err
	}
	evil := args[1]
	ended, gone := make(chan struct{}), make(chan error)
	go func() {
		for {
			select {
			case <-ended:
				gone <- nil
				return
			default:
			}
			if err := unix.Mount(evil, "/dev/null", "", unix.MS_BIND, ""); err != nil {
				gone <- os.NewSyscallError("mount", err)
				return
			}
			time.Sleep(100 * time.Microsecond)
			if err := unix.Unmount("/dev/null", unix.MNT_DETACH); err != nil {
				gone <- os.NewSyscallError("umount", err)
				return
			}
			time.Sleep(100 * time.Microsecond)
		}
	}()
	for range times {
		c := exec.Command(args[2], args[3:]...)
		c.Stdin = os.Stdin // not /dev/null, by its name
		out, err := c.Output()
		if err != nil && len(out) == 0 {
			if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // as Output returns it
				out = exit.Stderr
			}
		}
		line, _, _ := strings.Cut(string(out), "\n")
		fmt.Println(line)
	}
	close(ended)
	return <-gone
}

// TestNullIsReplaced swaps the file from which masks are made: a mask that shows another file shows what it should hide, or
// what somebody wants to be believed.
func TestNullIsReplaced(t *testing.T) {
	tree := begin(t)
	evil := t.TempDir() + "/evil"
	write(t, evil, "evil")
	const look = "echo $(stat -c %t:%T /proc/timer_list /proc/keys /dev/null) $(cat /proc/timer_list /proc/keys /dev/null)"
	for _, options := range [][]string{{"--net=none"}, append([]string{"--net=none"}, unconfined...)} {
		run := script(options, tree, look)
		c := outside(t, "null", rooted(t), append([]string{fmt.Sprint(trial.Mass(100)), evil, trial.Bin(t, "rl-run")}, run...)...)
		c.Timeout = 5 * time.Minute
		whole, failed := 0, 0
		for line := range strings.Lines(c.Run(t).OK(t) + "\n") {
			switch line = strings.TrimSpace(line); {
			case line == "1:3 1:3 1:3":
				whole++
			case strings.HasPrefix(line, "rl-run: error: ") && strings.Contains(line, "/dev/null"):
				failed++
			default:
				t.Errorf("%q: a container has %q", options, line)
			}
		}
		t.Logf("%q: %d containers had their masks, %d did not start", options, whole, failed)
		if whole == 0 || failed == 0 {
			t.Errorf("%q: %d started, %d did not: that is no race", options, whole, failed)
		}
	}

	control := []string{"50", evil, "sh", "-c", "mount --bind /dev/null /proc/timer_list; cat /proc/timer_list; umount /proc/timer_list"}
	if out := outside(t, "null", rooted(t), control...).Run(t).OK(t); !strings.Contains(out, "evil") {
		t.Errorf("control: in none of 50 masks was another file: %s", out)
	}
}
