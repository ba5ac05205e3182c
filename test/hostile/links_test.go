package hostile

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// link makes a symbolic link of the host, in place of what is there.
func link(t *testing.T, target, name string) {
	t.Helper()
	check(t, os.RemoveAll(name))
	check(t, os.MkdirAll(name[:strings.LastIndex(name, "/")], 0o755))
	check(t, os.Symlink(target, name))
}

// careless prepares a root as a script does that trusts the tree: "$1" is the tree, "$2" where something is to be
// mounted in it, "$3" a directory to bind there.
const careless = `mkdir -p "$1$2" 2>/dev/null; mount --bind "$3" "$1$2" 2>/dev/null || :`

// TestLinks gives trees in which the names that are mounted over are links out of the tree. (Those in which /proc, /sys or /dev
// is one do not start: TestKernelFilesystemsOnLinks of test/run.)
func TestLinks(t *testing.T) {
	begin(t)
	source := t.TempDir()
	write(t, source+"/of-source", "source")
	tree := trial.NewTree(t)
	for form, prefix := range map[string]string{"absolute": "", "relative": "../../../../../../../..", "dangling": "/nowhere"} {
		o := newCanary(t)
		// A tree's own devices are never seen: a tmpfs is mounted on its /dev.
		for _, name := range []string{"/dev/ptmx", "/dev/pts", "/dev/null", "/dev/shm", "/dev/tty", "/dev/console", "/dev/mqueue", "/dev/fd", "/mnt", "/run"} {
			link(t, prefix+o.dir, tree+name)
		}
		link(t, prefix+o.dir+"/hosts", tree+"/etc/hosts")
		link(t, prefix+o.dir+"/made", tree+"/etc/hostname")
		link(t, prefix+o.dir+"/sub/made", tree+"/etc/resolv.conf")
		for _, mode := range [][]string{nil, {"--rw"}, {"--copy"}, {"--read-only"}, {"-t"}, unconfined} {
			options := append([]string{"--net=none", "-v", source + ":/mnt/bound", "--tmpfs", "/run/deep/er", "--device", "/dev/full", "-h", "links"}, mode...)
			const look = `cat /mnt/bound/of-source; grep -c localhost /etc/hosts; cat /etc/hostname; echo changed >>/etc/hosts; echo changed >/run/deep/er/x
				readlink /dev/ptmx; stat -c %t:%T /dev/null; : >/dev/shm/x && echo shm; ls /dev/pts/ptmx`
			r := trial.Run(t, script(options, tree, look)...)
			if got := strings.Fields(r.Stdout); !slices.Equal(got, []string{"source2", "links", "pts/ptmx", "1:3", "shm", "/dev/pts/ptmx"}) {
				t.Errorf("%s %q: %+v", form, mode, r)
			}
			o.alive(t, fmt.Sprintf("%s %q", form, mode))
		}
	}

	for name, place := range map[string]string{
		"/mnt": "/mnt/bound", "/etc/hosts": "/other", "/dev": "/dev/made", "/dev/pts": "/dev/pts/made", "/dev/ptmx": "/dev/ptmx/made", "/proc": "/proc/x", "/sys": "/sys/x",
	} {
		o := newCanary(t)
		check(t, os.RemoveAll(tree+"/etc/hosts"))
		target := o.dir
		if name == "/etc/hosts" {
			target += "/hosts"
		}
		link(t, target, tree+name)
		lead := rooted(t)
		trial.Command{Path: lead[0], Args: append(lead[1:], "sh", "-c", careless+`; echo changed >>"$1/etc/hosts"`, "sh", tree, place, source)}.Run(t).OK(t)
		if !o.changed(t) {
			t.Errorf("control: a script that follows %s changes nothing outside", name)
		}
	}
}

// swapping exchanges two names in a loop, until the function that it returns is called.
func swapping(t *testing.T, a, b string) (stop func()) {
	t.Helper()
	ended := make(chan struct{})
	var w sync.WaitGroup
	w.Go(func() {
		for {
			select {
			case <-ended:
				return
			default:
			}
			err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
			if err != nil {
				t.Errorf("renameat2: %v", err)
				return
			}
			// Now and then a moment of rest, or other processes of the machine get none.
			time.Sleep(20 * time.Microsecond)
		}
	})
	var once sync.Once
	stop = func() { once.Do(func() { close(ended); w.Wait() }) }
	t.Cleanup(stop)
	return stop
}

// TestMountTargetIsSwapped has a directory on the way to a mount target become a link to the outside and a directory again, all
// the time, during 200 starts. A start may fail; nothing may be made or mounted outside.
func TestMountTargetIsSwapped(t *testing.T) {
	begin(t)
	source := t.TempDir()
	write(t, source+"/of-source", "source")
	tree, o := trial.NewTree(t), newCanary(t)
	// Something stays in it, so that it is never taken for an empty mount point that rl-run has made.
	write(t, tree+"/mnt/a/stays", "")
	link(t, o.dir, tree+"/other")
	stop := swapping(t, tree+"/mnt/a", tree+"/other")
	started := 0
	modes := [][]string{{"--rw"}, nil, {"--copy"}, {"--rw", "-w", "/mnt/a/work"}, append([]string{"--rw"}, unconfined...)}
	for n := range trial.Mass(200) {
		options := append([]string{"-v", source + ":/mnt/a/b/c", "--tmpfs", "/mnt/a/d"}, modes[n%len(modes)]...)
		r := trial.Run(t, script(options, tree, "cat /mnt/a/b/c/of-source; : >/mnt/a/d/x; : >/mnt/a/e")...)
		if r.Code != 125 {
			started++
		} else if !refused(r) {
			t.Errorf("%+v", r)
		}
	}
	stop()
	t.Logf("%d containers started", started)
	o.alive(t, "swapped")
	if started == 0 {
		t.Error("no container started: that is no race")
	}

	o = newCanary(t)
	check(t, os.RemoveAll(tree+"/mnt/a"))
	check(t, os.RemoveAll(tree+"/other"))
	write(t, tree+"/mnt/a/stays", "")
	link(t, o.dir, tree+"/other")
	stop = swapping(t, tree+"/mnt/a", tree+"/other")
	lead := rooted(t)
	for range 20 {
		text := `n=0; while [ $n -lt 20 ]; do ` + careless + `; n=$((n + 1)); done`
		trial.Command{Path: lead[0], Args: append(lead[1:], "sh", "-c", text, "sh", tree, "/mnt/a/b/c", source)}.Run(t).OK(t)
		if o.changed(t) {
			break
		}
	}
	stop()
	if !o.changed(t) {
		t.Error("control: 400 times a script has changed nothing outside")
	}
}

// TestProcIsSwapped has the directory /proc of the tree exchanged with another one, all the time, during starts. A start may fail;
// no container runs whose proc is not masked, wherever it is.
func TestProcIsSwapped(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	for _, dir := range []string{"/proc", "/decoy"} {
		check(t, os.MkdirAll(tree+dir, 0o755))
		write(t, tree+dir+"/stays", "")
	}
	const look = `for p in /proc /decoy; do
		for f in keys timer_list kcore; do [ ! -f $p/$f ] || echo unmasked $p/$f; done
		[ ! -d $p/sys/kernel ] || ! (: >>$p/sys/kernel/domainname) 2>/dev/null || echo writable $p/sys
	done`
	stop := swapping(t, tree+"/proc", tree+"/decoy")
	started := 0
	modes := [][]string{{"--rw"}, {"--read-only"}}
	for n := range trial.Mass(200) {
		r := trial.Run(t, script(append([]string{"--net=none"}, modes[n%len(modes)]...), tree, look)...)
		switch {
		case r.Code == 0 && r.Stdout == "":
			started++
		case r.Code == 0 || r.Code != 125 && r.Code != 127:
			t.Errorf("%q: %+v", modes[n%len(modes)], r)
		}
	}
	stop()
	t.Logf("%d containers started", started)
	if started == 0 {
		t.Error("no container started: that is no race")
	}
}
