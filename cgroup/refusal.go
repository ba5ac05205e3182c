package cgroup

import (
	"fmt"
	"slices"
	"strings"
)

// Refusal is a limit that cannot be enforced.
type Refusal struct {
	Limit      string // the option with its value
	Controller string // empty where none is to blame
	Cause      string
	Hint       string // one line: what would mend it, empty where nothing does
}

// Error is one line: the limit and the cause, which names the controller.
func (r *Refusal) Error() string { return "enforce " + r.Limit + ": " + r.Cause }

// unified is a comment of the shell, so that a hint is a line that can be pasted: how a machine is booted is not for such a line.
const unified = " # and boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"

// refuse says why a controller cannot be had; all are the controllers that the limits
// need, for a hint that covers them. It returns the cause and the hint.
func (h *Host) refuse(controller string, all []string) (cause, hint string) {
	switch {
	case h.Layout == NoGroups:
		return fmt.Sprintf("the %s controller is not there: no control groups are mounted", controller),
			"sudo mount -t cgroup2 none /sys/fs/cgroup"
	case slices.Contains(h.Legacy, controller):
		return fmt.Sprintf("the %s controller is bound to cgroup v1 (%s layout), which cannot be delegated to a user", controller, h.Layout),
			h.delegate(all) + unified
	case h.Layout == V1:
		return fmt.Sprintf("the %s controller is not there: control groups are of version 1", controller),
			h.delegate(all) + unified
	case h.Top && !slices.Contains(h.Root, controller):
		return fmt.Sprintf("this kernel has no %s controller", controller), kernelHint(controller)
	}
	if s := h.blocked(controller); s != nil {
		return fmt.Sprintf("the %s controller cannot be enabled below %s: processes are in it", controller, s.Dir),
			fmt.Sprintf(`mkdir %[1]s/main && for p in $(cat %[1]s/cgroup.procs); do echo $p >%[1]s/main/cgroup.procs; done`, s.Dir)
	}
	switch {
	case h.Manager != nil && h.Bus == "":
		return fmt.Sprintf("the %s controller is not delegated: systemd's %s has no bus (usually /run/user/%d/bus)", controller, h.managerService(), h.UID),
			"sudo apt-get install -y dbus-user-session && echo log in again"
	case h.Manager != nil:
		return fmt.Sprintf("the %s controller is not delegated to %s (delegated: %s)", controller, h.managerService(), words(h.Manager.Controllers)),
			fmt.Sprintf("%s # then log in again, or: sudo systemctl restart user@%d", h.delegate(all), h.UID)
	}
	return fmt.Sprintf("the %s controller is not delegated: no systemd of user %d runs", controller, h.UID),
		fmt.Sprintf("sudo loginctl enable-linger %d && %s", h.UID, h.delegate(all))
}

// blocked is the subtree that would do but for the processes in it.
func (h *Host) blocked(controller string) *Subtree {
	if h.Bus != "" && h.Manager != nil {
		return nil // the better way is to mend that
	}
	for i, s := range h.Subtrees {
		if s.Busy && slices.Contains(s.Controllers, controller) {
			return &h.Subtrees[i]
		}
	}
	return nil
}

// delegate is the command that delegates the controllers to users, beside those that
// systemd delegates anyway (systemd.resource-control(5), Delegate=).
func (h *Host) delegate(wanted []string) string {
	all := []string{"cpu", "memory", "pids"}
	if h.Manager != nil {
		all = append(all, h.Manager.Controllers...)
	}
	all = slices.DeleteFunc(append(all, wanted...), func(c string) bool { return !slices.Contains(controllers[:], c) })
	slices.Sort(all)
	return fmt.Sprintf(`sudo sh -c 'mkdir -p /etc/systemd/system/user@.service.d && printf "[Service]\nDelegate=%s\n" >/etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload'`,
		strings.Join(slices.Compact(all), " "))
}

func kernelHint(controller string) string {
	if controller == "memory" {
		return "some distributions turn it off: cgroup_enable=memory on the kernel's command line"
	}
	return ""
}

func words(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}
