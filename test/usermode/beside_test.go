package usermode

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

// A driver delays a start by no more than its own time: all that is to be mounted is mounted while the driver is not
// ready yet, and the command alone waits for it.
func TestBesideTheStart(t *testing.T) {
	begin(t)
	plan := trial.Run(t, "--explain", "--net=slirp4netns", trial.Tree(t, "busybox"), "true").OK(t)
	last := -1
	for _, step := range []string{"map ids", "start the driver", "unshare net", "hand the net namespace", "give the net namespace to the driver", "make all mounts", "pivot", "wait for the network", "let command go on"} {
		at := strings.Index(plan, step)
		if at <= last {
			t.Errorf("%q is not behind what goes before it:\n%s", step, plan)
		}
		last = at
	}
	dir := t.TempDir()
	// It is there, and does nothing until it may.
	sh(t, `mkdir `+dir+`/bin; mkfifo `+dir+`/go
		cat >`+dir+`/bin/slirp4netns <<-'END'
			#!/bin/sh
			case $1 in --help) exec /usr/bin/slirp4netns --help ;; esac
			: >`+dir+`/started
			read -r _ <`+dir+`/go
			exec /usr/bin/slirp4netns "$@"
		END
		chmod 755 `+dir+`/bin/slirp4netns`)
	c := trial.Command{
		Args: []string{"--userns=single", "--net=slirp4netns", trial.Tree(t, "busybox"), "sh", "-c", "echo runs; ls /sys/class/net"},
		Env:  []string{"PATH=" + dir + "/bin:" + os.Getenv("PATH")},
	}.Start(t)
	eventually(t, "the driver starts", func() bool {
		_, err := os.Stat(filepath.Join(dir, "started"))
		return err == nil
	})
	eventually(t, "all is mounted beside the driver", func() bool { return isMounted(t, "/sys/firmware") })
	if out := c.Stdout(""); out != "" {
		t.Errorf("the command does not wait for its network: %q", out)
	}
	may, err := os.OpenFile(filepath.Join(dir, "go"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := may.Close(); err != nil {
		t.Fatal(err)
	}
	if out := c.Wait().OK(t); !strings.HasPrefix(out, "runs\n") || !strings.Contains(out, "eth0\n") {
		t.Errorf("%q", out)
	}
}

// The launcher keeps to one processor while it starts a container. The driver does not, which has all the work later.
func TestDriverOnAllProcessors(t *testing.T) {
	begin(t)
	processors := func(pid string) string {
		t.Helper()
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, mask, _ := strings.Cut(string(status), "Cpus_allowed:")
		mask, _, _ = strings.Cut(mask, "\n")
		return strings.TrimSpace(mask)
	}
	for _, ids := range []string{"auto", "single"} {
		for _, net := range []string{"pasta", "slirp4netns"} {
			c := trial.Command{Args: []string{"--quiet", "--userns=" + ids, "--net=" + net, trial.Tree(t, "busybox"), "sh", "-c", "echo up; exec sleep 60"}}.Start(t)
			c.Stdout("up")
			list := named(t, net)
			if len(list) != 1 {
				t.Fatalf("%s, %s: %d drivers", ids, net, len(list))
			}
			if got, want := processors(strconv.Itoa(list[0])), processors("self"); got != want {
				t.Errorf("%s, %s: the driver may use the processors %s of %s", ids, net, got, want)
			}
			c.Signal(15)
			c.Wait()
		}
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	leak.Eventually(t, trial.Timeout/2, what, holds)
}

// isMounted says whether a process below this one has the last of the masks, which the host has not.
func isMounted(t *testing.T, place string) bool {
	t.Helper()
	all, err := leak.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		mounts, _ := os.ReadFile("/proc/" + strconv.Itoa(p.PID) + "/mountinfo") // it may be gone
		for line := range strings.Lines(string(mounts)) {
			if f := strings.Fields(line); len(f) > 4 && strings.HasSuffix(f[4], place) {
				return true
			}
		}
	}
	return false
}
