package leak

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// listNamespaces names every namespace that a process in scope is in, holds open
// or sees mounted, as "net:[4026532008]". The values say by whom.
//
// pid_for_children and time_for_children count: a process that unshared them is
// not in them itself.
func listNamespaces(s *scope) (map[string]string, error) {
	members, err := s.members()
	if err != nil {
		return nil, err
	}
	held := map[string][]string{}
	hold := func(ns, holder string) {
		if isNamespace(ns) && !slices.Contains(held[ns], holder) {
			held[ns] = append(held[ns], holder)
		}
	}
	pids := []int{s.top, s.self}
	for _, p := range members {
		pids = append(pids, p.PID)
	}
	mountNamespaces := map[string]bool{}
	for _, pid := range pids {
		if err := holdings(pid, hold); err != nil {
			return nil, err
		}
		mnt, _ := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
		if mnt == "" || mountNamespaces[mnt] {
			continue
		}
		mountNamespaces[mnt] = true
		mounts, err := readMounts(fmt.Sprintf("/proc/%d/mountinfo", pid))
		if hidden(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, m := range mounts {
			if m.fstype == "nsfs" {
				hold(m.root, fmt.Sprintf("mounted on %s in %s", m.target, mnt))
			}
		}
	}
	names := make(map[string]string, len(held))
	for ns, holders := range held {
		names[ns] = strings.Join(holders, ", ")
	}
	return names, nil
}

// NamespacesOf lists the namespaces that a process is in or holds open, as far as the
// caller may know. A process that has ended is in none.
func NamespacesOf(pid int) ([]string, error) {
	var names []string
	err := holdings(pid, func(ns, _ string) {
		if isNamespace(ns) && !slices.Contains(names, ns) {
			names = append(names, ns)
		}
	})
	return names, err
}

// holdings calls hold for each namespace that a thread of pid is in and for each
// that one of its file descriptors refers to.
func holdings(pid int, hold func(ns, holder string)) error {
	tasks, err := numbers(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil && !hidden(err) {
		return err
	}
	for _, task := range tasks {
		dir := fmt.Sprintf("/proc/%d/task/%d/ns", pid, task)
		entries, err := os.ReadDir(dir)
		if err != nil && !hidden(err) {
			return err
		}
		for _, e := range entries {
			// The link is unreadable where ptrace(2) would be refused.
			if ns, err := os.Readlink(dir + "/" + e.Name()); err == nil {
				hold(ns, fmt.Sprintf("held by process %d", pid))
			}
		}
	}
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := numbers(dir)
	if err != nil && !hidden(err) {
		return err
	}
	for _, fd := range fds {
		if ns, err := os.Readlink(fmt.Sprintf("%s/%d", dir, fd)); err == nil {
			hold(ns, fmt.Sprintf("held by fd %d of process %d", fd, pid))
		}
	}
	return nil
}

// isNamespace tells "net:[4026531840]" from "socket:[12345]" and paths.
func isNamespace(link string) bool {
	kind, _, ok := strings.Cut(link, ":[")
	return ok && slices.Contains([]string{"cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"}, kind)
}

// hidden is true when /proc refuses or no longer has what was asked for: the
// process has ended, has become a zombie (mountinfo is EINVAL), or is not ours.
func hidden(err error) bool {
	return vanished(err) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.EINVAL)
}
