package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

// Explain is the message of a step that failed: verb, object, cause, and the
// number that the step has in the plan.
func Explain(e *plan.StepError) string {
	if x, ok := e.Step.(plan.Exec); ok {
		name := "command"
		if len(x.Argv) > 0 {
			name = x.Argv[0]
		}
		return fmt.Sprintf("exec %s: %v", name, execCause(x, e.Err))
	}
	var mapping interface{ Mapping() bool }
	text := e.Error()
	if e.Step.Kind() == plan.KindMapIDs && e.Actor == plan.Parent || errors.As(e.Err, &mapping) {
		text = e.Err.Error()
	}
	return fmt.Sprintf("%s (step %d)", text, e.Index+1)
}

func execCause(x plan.Exec, err error) error {
	slash := len(x.Paths) == 1
	switch {
	case errors.Is(err, unix.ENOENT) && slash:
		return errors.New("no such file, or its interpreter is missing")
	case errors.Is(err, unix.ENOENT):
		return errors.New("command not found")
	case errors.Is(err, unix.EACCES):
		return errors.New("not executable (permission denied)")
	case errors.Is(err, unix.ENOEXEC):
		return errors.New("not executable (exec format error)")
	}
	return err
}

// hint is a line of the table of remedies.
type hintRule struct {
	kind   plan.Kind
	detail string
	errnos []unix.Errno // empty for any
	text   string
}

var hintRules = [...]hintRule{
	{plan.KindStartInit, "", []unix.Errno{unix.ENOSPC, unix.EUSERS}, "all user namespaces are in use: an administrator can raise user.max_user_namespaces (sysctl)"},
	{plan.KindStartInit, "", []unix.Errno{unix.EPERM}, "user namespaces are not allowed here: sysctl kernel.unprivileged_userns_clone=1, or kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu"},
	{plan.KindStartInit, "", []unix.Errno{unix.ENOSYS, unix.EINVAL}, "rl-run needs Linux 5.12 or newer"},
	{plan.KindStartInit, "", []unix.Errno{unix.EAGAIN}, "too many processes: see ulimit -u"},
	{plan.KindUnshare, "", []unix.Errno{unix.ENOSPC}, "all namespaces of a kind are in use: an administrator can raise user.max_*_namespaces (sysctl)"},
	{plan.KindNewRoot, "", []unix.Errno{unix.ENOSPC}, "the tmpfs is full: give it more with --size"},
	{plan.KindFile, "", []unix.Errno{unix.ENOSPC}, "the tmpfs is full: give it more with --size"},
	{plan.KindMountPoint, "", []unix.Errno{unix.ENOSPC}, "the tmpfs is full: give it more with --size"},
	{plan.KindMountPoint, "", []unix.Errno{unix.EACCES, unix.EROFS, unix.EOVERFLOW}, "ROOTFS cannot be written: leave --rw out, and the mount point is made above it"},
	{plan.KindMount, "", []unix.Errno{unix.ENOTDIR, unix.ELOOP}, "/proc, /sys and /dev of a ROOTFS must be real directories"},
	{plan.KindAttach, "", []unix.Errno{unix.ESTALE}, "the path led to another directory a moment ago: start again"},
	{plan.KindBind, "", []unix.Errno{unix.ESTALE}, "the path led to another file a moment ago: start again"},
	{plan.KindBind, "", []unix.Errno{unix.EINVAL}, "mounts below the source cannot be left out: make the bind recursive"},
	{plan.KindExec, "", []unix.Errno{unix.ENOEXEC}, "a script needs a first line like #!/bin/sh, a binary must be for this machine's processor"},
}

// Hint is the remedy for an error, where one is known; else empty.
func Hint(err error) string {
	var h *Hinted
	if errors.As(err, &h) {
		return h.Hint
	}
	for _, known := range []struct{ is error }{{unix.EMFILE}} {
		if errors.Is(err, known.is) {
			return "too many open files: raise the limit, ulimit -n 256"
		}
	}
	var step *plan.StepError
	if !errors.As(err, &step) {
		return ""
	}
	for _, r := range hintRules {
		if r.kind != step.Step.Kind() || r.detail != "" && r.detail != detail(step.Step) {
			continue
		}
		for _, e := range r.errnos {
			if errors.Is(step.Err, e) {
				return r.text
			}
		}
	}
	return ""
}

// rootfsError adds what ROOTFS was probably meant to be.
func rootfsError(rootfs string, err error) error {
	var pe *fs.PathError
	if !errors.As(err, &pe) || pe.Path != rootfs {
		return err
	}
	_, statErr := os.Lstat(rootfs)
	image := strings.Contains(rootfs, ":") || !strings.HasPrefix(rootfs, ".") && !strings.HasPrefix(rootfs, "/")
	switch {
	case errors.Is(err, unix.ENOENT) && errors.Is(statErr, fs.ErrNotExist) && image && looksLikeImage(rootfs):
		return hinted(err, "ROOTFS is a directory, not an image: unpack one first, for example with scripts/mkrootfs debian ./debian")
	case errors.Is(err, unix.ENOENT):
		return hinted(err, "ROOTFS is the directory with the container's files: scripts/mkrootfs busybox DIR makes a small one")
	case errors.Is(err, unix.ENOTDIR):
		return hinted(err, "ROOTFS is a directory: unpack an archive first, with rl-unshare tar -xf FILE -C DIR")
	case errors.Is(err, unix.EACCES):
		return hinted(err, "the caller must be able to enter ROOTFS and the directories above it: ls -ld "+rootfs)
	}
	return err
}

// looksLikeImage reports whether a word is an image reference such as
// docker.io/library/debian:12 or debian.
func looksLikeImage(s string) bool {
	return strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_./:@") == ""
}
