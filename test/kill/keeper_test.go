package kill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/leak"
)

// keeperName is argument 0 of the test program when it is a keeper.
const keeperName = "kill-keeper"

// A job is one launcher to start and to kill.
type job struct {
	Path   string
	Args   []string
	Delay  time.Duration // from the launcher's exec to the kill
	Settle time.Duration // how long what the launcher started may live on

	Lasting []string // namespaces that were there before, and stay
}

// A death is what became of a launcher. A keeper sends it twice: when the launcher is
// dead, and, with the rest filled in, when all has settled.
type death struct {
	Error  string // of the keeper itself
	Exit   string // how the launcher ended where it was not killed
	Stderr string

	Settled time.Duration // from the kill until nothing was left, where nothing is left
	Left    []string      // what remained after job.Settle: processes, holders of namespaces
}

// keep does jobs until there are no more, and returns an exit code.
func keep() int {
	// The launcher may want to die with its parent, which for PR_SET_PDEATHSIG is this thread.
	runtime.LockOSThread()
	err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	jobs, deaths := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for err == nil {
		var j job
		if err = jobs.Decode(&j); err != nil {
			break
		}
		var d death
		var seen []string
		seen, err = d.kill(j)
		start := time.Now()
		if err == nil {
			err = deaths.Encode(d)
		}
		if err != nil {
			break
		}
		d.Stderr = ""
		if err = d.settle(j, seen, start); err == nil {
			err = deaths.Encode(d)
		}
	}
	if errors.Is(err, io.EOF) {
		return 0
	}
	_ = deaths.Encode(death{Error: err.Error()})
	return 1
}

// kill starts the launcher, waits, and kills it by its pid, that of an unreaped child. It returns the namespaces that
// were seen in use below it.
func (d *death) kill(j job) (seen []string, err error) {
	null, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	// What is left behind holds the write end too, so there may be no end of file: the
	// reader takes what is there.
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return nil, os.NewSyscallError("pipe2", err)
	}
	defer unix.Close(pipe[0])
	pid, err := syscall.ForkExec(j.Path, append([]string{j.Path}, j.Args...), &syscall.ProcAttr{
		Env:   os.Environ(),
		Files: []uintptr{null.Fd(), null.Fd(), uintptr(pipe[1])},
	})
	unix.Close(pipe[1])
	if err != nil {
		return nil, &os.PathError{Op: "start", Path: j.Path, Err: err}
	}
	wait := unix.NsecToTimespec(int64(j.Delay))
	for unix.Nanosleep(&wait, &wait) == unix.EINTR { //nolint:errorlint // a bare errno
	}
	seen = inUse(pid)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		return nil, os.NewSyscallError("kill", err)
	}
	var ws unix.WaitStatus
	if _, err := unix.Wait4(pid, &ws, 0, nil); err != nil {
		return nil, os.NewSyscallError("wait4", err)
	}
	if !ws.Signaled() || ws.Signal() != unix.SIGKILL {
		d.Exit = fmt.Sprintf("wait status %#x", ws)
	}
	var text strings.Builder
	for buf := make([]byte, 1<<16); ; {
		n, err := unix.Read(pipe[0], buf)
		if n <= 0 || err != nil {
			break
		}
		text.Write(buf[:n])
	}
	d.Stderr = text.String()
	return seen, nil
}

// settle waits until nothing below this keeper lives, and nobody holds what was seen.
func (d *death) settle(j job, seen []string, start time.Time) error {
	left, err := leak.EndChildren(j.Settle)
	if err != nil {
		return err
	}
	d.Left = left
	d.Settled = time.Since(start)
	seen = slices.DeleteFunc(seen, func(ns string) bool { return slices.Contains(j.Lasting, ns) })
	for len(seen) > 0 {
		holders, err := heldElsewhere(seen)
		if err != nil {
			return err
		}
		if len(holders) == 0 {
			break
		}
		if time.Since(start) > j.Settle {
			d.Left = append(d.Left, holders...)
			break
		}
		time.Sleep(leak.Slow(10 * time.Millisecond)) // a look is at all of /proc
	}
	return nil
}

// inUse lists the namespaces of the children and grandchildren of pid that are not this process's
// own. It goes by /proc/PID/task/TID/children (CONFIG_PROC_CHILDREN), because a walk over
// all of /proc would move the moment of the kill by milliseconds.
func inUse(pid int) []string {
	own, err := leak.NamespacesOf(os.Getpid())
	if err != nil {
		return nil
	}
	var seen []string
	for next, depth := children(pid), 0; depth < 2; depth++ {
		var after []string
		for _, child := range next {
			id, err := strconv.Atoi(child)
			if err != nil {
				continue
			}
			names, _ := leak.NamespacesOf(id) // gone or hidden: nothing is seen
			for _, ns := range names {
				if !slices.Contains(own, ns) && !slices.Contains(seen, ns) {
					seen = append(seen, ns)
				}
			}
			after = append(after, children(id)...)
		}
		next = after
	}
	return seen
}

func children(pid int) []string {
	var found []string
	tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	for _, t := range tasks {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, t.Name()))
		found = append(found, strings.Fields(string(text))...)
	}
	return found
}

// heldElsewhere describes the processes that hold one of the namespaces and do not
// belong to another kill. (The kernel gives the number of a namespace that is gone to the next one,
// so that of a concurrent kill says nothing.)
func heldElsewhere(seen []string) ([]string, error) {
	all, err := leak.Processes()
	if err != nil {
		return nil, err
	}
	others, err := leak.Descendants(os.Getppid())
	if err != nil {
		return nil, err
	}
	other := map[int]bool{}
	for _, p := range others {
		other[p.PID] = true
	}
	var holders []string
	for _, p := range all {
		if other[p.PID] {
			continue
		}
		names, err := leak.NamespacesOf(p.PID)
		if err != nil {
			return nil, err
		}
		for _, ns := range names {
			if slices.Contains(seen, ns) {
				holders = append(holders, fmt.Sprintf("%s held by %s", ns, p))
			}
		}
	}
	return holders, nil
}
