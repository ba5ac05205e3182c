package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/pid1"
)

// ending is the init of a container that is to end.
type ending struct {
	*container.Process
	// The pid namespace is another's, so that the kernel ends no process with init: init has to do it, and a SIGKILL
	// would leave it no time for that.
	sweeps bool
	mounts int // its mount namespace, where it sweeps: commands of rl-exec are in that and no children of init; else -1
}

// openToEnd finds the init of a container. The error is that of Entry.Open.
func openToEnd(e *container.Entry) (*ending, error) {
	p, err := e.Open()
	if err != nil {
		return nil, err
	}
	ending := &ending{p, false, -1}
	if config, err := e.Config(); err == nil && config.Share["pid"] != "" {
		ending.sweeps = true
		ending.mounts, _ = p.Namespace("mnt") // -1 where it has ended meanwhile
	}
	return ending, nil
}

// Close gives the file descriptors back.
func (p *ending) Close() {
	p.Process.Close()
	if p.mounts >= 0 {
		_ = unix.Close(p.mounts)
	}
}

// kill begins the end of all of the container's processes, which have no say in it.
func (p *ending) kill() error {
	if p.sweeps {
		return killed(p.Signal(pid1.SweepSignal))
	}
	return killed(p.Signal(unix.SIGKILL))
}

// patience is how long the kernel may take to end what was killed.
const patience = 10 * time.Second

// finish waits for the end, and kills when that takes too long.
func (p *ending) finish(wait time.Duration) error {
	err := p.finishInit(wait)
	if err == nil && p.mounts >= 0 {
		p.killBeside()
	}
	return err
}

func (p *ending) finishInit(wait time.Duration) error {
	ended, err := p.Wait(wait)
	if ended || err != nil {
		return err
	}
	if err := p.kill(); err != nil {
		return err
	}
	ended, err = p.Wait(patience)
	if err == nil && !ended && p.sweeps { // it is stopped, or waits for a process that does not end
		if err = killed(p.Signal(unix.SIGKILL)); err == nil {
			ended, err = p.Wait(patience)
		}
	}
	if err == nil && !ended {
		err = fmt.Errorf("process %d was killed and is still there: a system call of it does not end", p.PID)
	}
	return err
}

// killBeside kills who is in the container's mount namespace, until nobody is.
func (p *ending) killBeside() {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		alone := true
		procs, _ := os.ReadDir("/proc")
		for _, dir := range procs {
			pid, err := strconv.Atoi(dir.Name())
			if err != nil || pid == os.Getpid() || !p.isBeside(pid) {
				continue
			}
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				continue
			}
			if p.isBeside(pid) { // and so is the process of the pidfd
				alone = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0) != nil && alone
			}
			_ = unix.Close(fd)
		}
		if alone {
			return
		}
	}
}

// isBeside reports whether a process is in the container's mount namespace.
func (p *ending) isBeside(pid int) bool {
	var its, own unix.Stat_t
	return unix.Stat("/proc/"+strconv.Itoa(pid)+"/ns/mnt", &its) == nil && unix.Fstat(p.mounts, &own) == nil &&
		its.Dev == own.Dev && its.Ino == own.Ino
}

// end kills the container, and waits until that shows in its state.
func (p *ending) end(s *container.Store, name string) error {
	if err := p.finish(0); err != nil {
		return err
	}
	p.settle(s, name)
	return nil
}

// settle waits until how a container ended is written down, and one of the foreground is removed.
func (p *ending) settle(s *container.Store, name string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		e, err := s.Find(name)
		if err != nil {
			return
		}
		going := e.State.Init.PID == p.PID && e.Settling()
		e.Close()
		if !going {
			return
		}
	}
}
