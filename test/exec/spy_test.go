package exec

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// spyEnv makes the test program, in a container, the hostile command of it: "watch" those who join, stop them for a
// "look", or also "swap" what they may open.
const spyEnv = "RLRUN_EXEC_SPY"

// The environment of rl-exec has this, and nothing else.
const (
	secretName  = "RLRUN_TEST_SECRET"
	secretValue = "tell-nobody-2718281"
)

// marker is a file of the host, in a directory that the caller of rl-exec has open.
const marker = "a-file-of-the-host"

// A sighting is something that a container's root came to see of who joined it.
type sighting struct{ Where, What string }

// spy looks until SIGTERM, and then tells what it has seen.
func spy(role string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	if role == "swap" {
		go func() {
			for n := 0; ; n++ {
				swap(n)
			}
		}()
	}
	seen := map[sighting]bool{}
	looked := map[int]bool{}
	fmt.Println("ready")
	for {
		select {
		case <-stop:
			list := []sighting{}
			for s := range seen {
				list = append(list, s)
			}
			return json.NewEncoder(os.Stdout).Encode(struct {
				Processes int
				Seen      []sighting
			}{len(looked), list})
		default:
		}
		for _, pid := range others() {
			looked[pid] = true
			if role == "kill" {
				for _, s := range strike(pid) {
					seen[s] = true
				}
				continue
			}
			// One that is stopped has to bear being looked at for long.
			stopped := role != "watch" && unix.Kill(pid, unix.SIGSTOP) == nil
			for range 3 {
				for _, s := range lookAt(pid) {
					seen[s] = true
				}
			}
			if stopped {
				_ = unix.Kill(pid, unix.SIGCONT)
			}
		}
	}
}

// others are the processes beside the spy and the init of its container.
func others() (pids []int) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil && pid != 1 && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

func lookAt(pid int) (seen []sighting) {
	proc := "/proc/" + strconv.Itoa(pid)
	report := func(where, format string, args ...any) {
		what := fmt.Sprintf(format, args...)
		seen = append(seen, sighting{where, what[:min(len(what), 200)]})
	}
	exe, exeErr := os.Readlink(proc + "/exe")
	if exeErr == nil && !known(exe, proc) {
		report("exe", "%s", exe)
		if f, err := os.Open(proc + "/exe"); err == nil {
			report("exe", "%s can be read", exe)
			_ = f.Close()
		}
	}
	for _, name := range []string{"environ", "cmdline"} {
		text, err := os.ReadFile(proc + "/" + name)
		if err == nil && (strings.Contains(string(text), secretName) || name == "cmdline" && strings.Contains(string(text), "hostile")) {
			report(name, "%q", text)
		}
	}
	names := 0
	fds, err := os.ReadDir(proc + "/fd")
	if err == nil {
		for _, fd := range fds {
			to, err := os.Readlink(proc + "/fd/" + fd.Name())
			if n, nErr := strconv.Atoi(fd.Name()); err != nil || nErr != nil || n <= 2 {
				continue
			}
			if _, err := os.Stat(proc + "/fd/" + fd.Name() + "/" + marker); err == nil {
				report("fd", "%s of the host", to)
			}
			if ofLauncher(to) {
				names++
				if why := remains(proc, fd.Name(), to); why != "" {
					report("fd", "%s of %s: %s", to, exe, why)
				}
			}
		}
	}
	// of its control socket, and of what it executes
	if names > 2 {
		report("fd", "the names of %d", names)
	}
	if _, err := os.Stat(proc + "/cwd/" + marker); err == nil {
		report("cwd", "a directory of the host")
	}
	// No container has this. (A container that shares namespaces has a root of its own.)
	if _, err := os.Lstat(proc + "/root/etc/shadow"); err == nil {
		report("root", "the host's root directory")
	}
	if pidfd, err := unix.PidfdOpen(pid, 0); err == nil {
		for n := 3; n < 16; n++ {
			if fd, err := unix.PidfdGetfd(pidfd, n, 0); err == nil {
				link := "/proc/self/fd/" + strconv.Itoa(fd)
				to, _ := os.Readlink(link)
				if _, err := os.Stat(link + "/" + marker); err == nil || ofLauncher(to) {
					report("pidfd_getfd", "%s", to)
				}
				_ = unix.Close(fd)
			}
		}
		_ = unix.Close(pidfd)
	}
	return append(seen, lookInMemory(proc)...)
}

// remains tells what is wrong with a descriptor whose name could be read; nothing of one that an execution is just closing. The kernel gives
// a process its new memory, which this container's root may look at, before it closes what is close-on-exec (begin_new_exec): names
// can be read then, of the control socket, whose end tells that there was an execution, and of the program. Nothing can be got, which
// pidfd_getfd is tried for. Who ends has no memory any more, and no program.
func remains(proc, fd, to string) string {
	for range 5000 {
		exe, err := os.Readlink(proc + "/exe")
		switch {
		case err != nil:
			return "while it ends"
		case to != exe && !strings.HasPrefix(to, "socket:"):
			return "while it executes " + exe
		}
		if now, err := os.Readlink(proc + "/fd/" + fd); err != nil || now != to {
			return ""
		}
		time.Sleep(time.Millisecond)
	}
	return "it stays open"
}

// ofLauncher are the kinds of descriptors that rl-exec has, and commands in this container have not.
func ofLauncher(to string) bool {
	return strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "/memfd:") || to == "anon_inode:[pidfd]" || strings.HasPrefix(to, "pidfd:")
}

// known are the programs of the container, and those that are executed from a sealed memfd: a page of instructions
// each. A command that is a link to /proc/self/exe leads there.
func known(exe, proc string) bool {
	var of, here unix.Stat_t
	switch {
	case unix.Stat(proc+"/exe", &of) != nil:
		return true // it is gone
	case strings.HasPrefix(exe, "/memfd:rl-"):
		return of.Size <= 4096
	}
	// The busybox of a container that shares namespaces is another file, and the same.
	return unix.Stat(exe, &here) == nil && (of.Dev == here.Dev && of.Ino == here.Ino || exe == "/bin/busybox" && of.Size == here.Size)
}

func lookInMemory(proc string) []sighting {
	maps, err := os.ReadFile(proc + "/maps")
	if err != nil || len(maps) == 0 {
		return nil
	}
	mem, err := os.Open(proc + "/mem")
	if err != nil {
		return nil
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil || !strings.Contains(line, "[stack]") && !strings.Contains(line, "[heap]") {
			continue
		}
		buf := make([]byte, min(to-from, 1<<18))
		n, _ := mem.ReadAt(buf, max(from, to-int64(len(buf))))
		if strings.Contains(string(buf[:max(n, 0)]), secretValue) {
			return []sighting{{"mem", strings.TrimSpace(line)}}
		}
	}
	return nil
}

// swap puts something else in the place of what is opened or executed by those who join.
func swap(n int) {
	links := []string{"/proc/self/exe", "/proc/self/fd/3", "/proc/self/fd/4", "/proc/self/cwd", "/proc/1/root", "/proc/self/fd/0"}
	link := links[n%len(links)]
	replace := func(name string, make func(path string) error) {
		path := fmt.Sprintf("%s.%d", name, n)
		if make(path) == nil {
			_ = os.Rename(path, name)
		}
	}
	toLink := func(path string) error { return os.Symlink(link, path) }
	text := func(content string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(content), 0o755) }
	}
	fifo := func(path string) error { return unix.Mkfifo(path, 0o666) }
	const passwd = "root:x:0:0:root:/root:/bin/sh\njoe:x:1:1:" + "joe:/:/bin/sh\n"

	switch n % 5 {
	case 0:
		replace("/bin/evil", toLink)
		replace("/etc/passwd", text(passwd))
		replace("/work", toLink)
	case 1:
		replace("/bin/evil", text("#!/proc/self/exe\n"))
		replace("/etc/passwd", toLink)
	case 2:
		replace("/bin/evil", text("#!/bin/sh\necho here; ls -a . 2>&1\n"))
		replace("/etc/passwd", fifo)
		replace("/work", toLink)
	case 3:
		replace("/etc/passwd", func(path string) error {
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return f.Truncate(1 << 40)
		})
	case 4:
		replace("/etc/passwd", text(passwd))
	}
	// In the place of the devpts, which those find who come next.
	switch n % 4 {
	case 0:
		_ = unix.Mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=0666,newinstance")
	case 1:
		if unix.Mount("tmpfs", "/dev/pts", "tmpfs", 0, "") == nil {
			_ = fifo("/dev/pts/ptmx")
		}
	case 2:
		if unix.Mount("tmpfs", "/dev/pts", "tmpfs", 0, "") == nil {
			_ = os.Symlink(filepath.Join("/proc/self/fd", strconv.Itoa(3+n%5)), "/dev/pts/ptmx")
		}
	}
	for range n % 3 {
		_ = unix.Unmount("/dev/pts", unix.MNT_DETACH)
	}
}
