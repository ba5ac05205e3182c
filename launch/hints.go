package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
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
		if name == "" {
			name = `""`
		}
		return fmt.Sprintf("exec %s: %v", name, execCause(name, e.Err))
	}
	text := e.Error()
	speak := []plan.Kind{plan.KindMapIDs, plan.KindLayers, plan.KindGroup, plan.KindBindPorts, plan.KindMakeVeth}
	_, child := e.Err.(unix.Errno) //nolint:errorlint // what a child has come to on its way to the parent's step is no more than that
	if e.Actor == plan.Parent && !child && slices.Contains(speak, e.Step.Kind()) {
		text = e.Err.Error() // it says all that the step does, and more
	}
	return fmt.Sprintf("%s (step %d)", text, e.Index+1)
}

func execCause(name string, err error) error {
	switch {
	case errors.Is(err, unix.ENOENT) && strings.Contains(name, "/"):
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

// hintRule is a line of the table of remedies.
type hintRule struct {
	kind   plan.Kind
	errnos []unix.Errno
	when   func(plan.Step) bool // nil for any step of the kind
	text   string
}

const (
	fullHint  = "the tmpfs is full: give it more with --size"
	againHint = "the path led to another place a moment ago: start again"
)

var hintRules = [...]hintRule{
	{plan.KindStartInit, []unix.Errno{unix.ENOSYS, unix.EINVAL}, nil, "rl-run needs Linux 5.12 or newer"},
	{plan.KindStartInit, []unix.Errno{unix.EAGAIN}, nil, processesHint},
	// verify_root_map() in kernel/user_namespace.c, since 5.12
	{plan.KindMapIDs, []unix.Errno{unix.EPERM}, mapsRoot, "uid 0 maps itself with CAP_SETFCAP alone: start what is around with --cap-add CAP_SETFCAP, or rl-run as another user"},
	{plan.KindStartCommand, []unix.Errno{unix.EAGAIN}, nil, processesHint},
	{plan.KindStartJoiner, []unix.Errno{unix.EAGAIN}, nil, processesHint},
	{plan.KindJoin, []unix.Errno{unix.ESRCH}, nil, "the container has just ended: rl-ps -a"},
	{plan.KindOwnMemory, []unix.Errno{unix.EACCES}, nil, "an administrator can allow it: sysctl vm.memfd_noexec=0"},
	{plan.KindStartHelper, []unix.Errno{unix.EAGAIN}, nil, processesHint},
	{plan.KindNewPIDNamespace, []unix.Errno{unix.EAGAIN}, nil, processesHint},
	{plan.KindCopy, []unix.Errno{unix.EAGAIN}, nil, processesHint},
	{plan.KindExec, []unix.Errno{unix.EAGAIN}, nil, processesHint},
	{plan.KindUnshare, []unix.Errno{unix.ENOSPC}, nil, "all namespaces of a kind are in use: an administrator can raise user.max_*_namespaces (sysctl)"},
	{plan.KindNewRoot, []unix.Errno{unix.ENOSPC}, nil, fullHint},
	{plan.KindNewRoot, []unix.Errno{unix.ELOOP, unix.ENOTDIR}, nil, "its layers were exchanged for links a moment ago: use a directory that no container can write to"},
	{plan.KindFile, []unix.Errno{unix.ENOSPC}, nil, fullHint},
	{plan.KindMountPoint, []unix.Errno{unix.ENOSPC}, nil, fullHint},
	{plan.KindMountPoint, []unix.Errno{unix.EACCES, unix.EPERM, unix.ENOENT, unix.EROFS}, inKernelFilesystem, "nothing can be made below /proc and /sys: mount on what is there"},
	{plan.KindMountPoint, []unix.Errno{unix.EACCES, unix.EROFS, unix.EOVERFLOW}, nil, "make it in the source of the mount above it; where it is ROOTFS, with --rw, leave --rw out"},
	{plan.KindMount, []unix.Errno{unix.ENOTDIR, unix.ELOOP}, isStrict, "/proc, /sys and /dev of a ROOTFS must be real directories"},
	{plan.KindBind, []unix.Errno{unix.ENOTDIR, unix.ELOOP}, isStrict, "/proc, /sys and /dev of a ROOTFS must be real directories"},
	{plan.KindMount, []unix.Errno{unix.ESTALE}, nil, againHint},
	{plan.KindStage, []unix.Errno{unix.ENOENT}, nil, noDriver + ": " + noProcHint},
	{plan.KindAttach, []unix.Errno{unix.ESTALE}, nil, againHint},
	{plan.KindBind, []unix.Errno{unix.ESTALE}, nil, againHint},
	{plan.KindBind, []unix.Errno{unix.EINVAL}, nil, "mounts below the source cannot be left out: make the bind recursive"},
	{plan.KindOpenNull, []unix.Errno{unix.ENOENT}, nil, "the outer /dev lacks it: mount --rbind /dev DIR/dev before chroot DIR, as root"},
	{plan.KindExec, []unix.Errno{unix.ENOENT}, execsOption, "options stand before ROOTFS, or before NAME with rl-exec: what follows belongs to the command"},
	{plan.KindExec, []unix.Errno{unix.ENOEXEC}, nil, "a script needs a first line like #!/bin/sh, a binary must be for this machine's processor"},
	{plan.KindExec, []unix.Errno{unix.E2BIG}, nil, "one argument or variable has at most 128 KiB, all of them a quarter of ulimit -s"},
}

const noProcHint = "as root: mount -t proc proc /proc"

// noDriver: subset=pid is the one way to mount a /proc that has processes and lacks it.
const noDriver = plan.StagePoint + " is missing, as in a /proc that was mounted with subset=pid"

const processesHint = "too many processes of this user: see ulimit -u"

// isStrict tells the mounts whose target may not be reached through a link.
func isStrict(s plan.Step) bool {
	switch s := s.(type) {
	case plan.Mount:
		return s.Strict
	case plan.Bind:
		return s.Strict
	}
	return false
}

// mapsRoot tells the maps of a single id that is uid 0 outside.
func mapsRoot(s plan.Step) bool {
	m, ok := s.(plan.MapOwnIDs)
	return ok && m.UID.Outside == 0
}

// execsOption tells the commands that look like an option.
func execsOption(s plan.Step) bool {
	x, ok := s.(plan.Exec)
	return ok && len(x.Argv) > 0 && strings.HasPrefix(x.Argv[0], "-")
}

func inKernelFilesystem(s plan.Step) bool {
	path := ""
	switch s := s.(type) {
	case plan.MakeDir:
		path = s.Path
	case plan.MakeFile:
		path = s.Path
	}
	return strings.HasPrefix(path, "/proc/") || strings.HasPrefix(path, "/sys/")
}

// Hint is the remedy for an error, where one is known; else empty.
func Hint(err error) string {
	if h, ok := errors.AsType[*Hinted](err); ok {
		return h.Hint
	}
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		return h.Hint()
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok && strings.HasPrefix(pe.Path, "/proc/self/") && errors.Is(err, unix.ENOENT) {
		return noProcHint
	}
	if errors.Is(err, unix.EMFILE) {
		return "too many open files: raise the limit, ulimit -n 256"
	}
	if errors.Is(err, unix.EFBIG) {
		return "no file may be so large: raise the limit, ulimit -f unlimited"
	}
	var step *plan.StepError
	if !errors.As(err, &step) {
		return ""
	}
	if step.Step.Kind() == plan.KindStartInit && refuses(step.Err) {
		return whyRefused(refusal(step).namespaceFinding())
	}
	return ruledHint(step)
}

// refuses tells the errnos with which the kernel makes no user namespace that it could make.
func refuses(err error) bool {
	return errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS)
}

// ruledHint is what the table has.
func ruledHint(step *plan.StepError) string {
	for _, r := range hintRules {
		if r.kind == step.Step.Kind() && (r.when == nil || r.when(step.Step)) &&
			slices.ContainsFunc(r.errnos, func(e unix.Errno) bool { return errors.Is(step.Err, e) }) {
			return r.text
		}
	}
	return ""
}

// whyRefused is what a finding says of a user namespace that could not be made beyond the error, and what mends it.
func whyRefused(f Finding) string {
	if _, why, known := strings.Cut(f.Text, "; "); known {
		return why + ": " + f.Mend
	}
	return f.Mend
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
	case errors.Is(err, unix.ENOENT) && verbHint(rootfs) != "":
		return hinted(err, verbHint(rootfs))
	case errors.Is(err, unix.ENOENT) && errors.Is(statErr, fs.ErrNotExist) && image && looksLikeImage(rootfs):
		return hinted(err, "ROOTFS is a directory, not an image: unpack one first, as in docker export CONTAINER | rl-unshare tar -x -C DIR")
	case errors.Is(err, unix.ENOENT):
		return hinted(err, "ROOTFS is the directory with the container's files: scripts/mkrootfs busybox DIR makes a small one")
	case errors.Is(err, unix.ENOTDIR):
		return hinted(err, "ROOTFS is a directory: unpack an archive first, with rl-unshare tar -xf FILE -C DIR")
	case errors.Is(err, unix.EACCES):
		return hinted(err, "the caller must be able to enter ROOTFS and the directories above it: ls -ld "+rootfs)
	}
	return err
}

// verbHint is for those who put a verb of docker or podman where ROOTFS belongs; empty for other words.
func verbHint(word string) string {
	switch word {
	case "run", "create", "start":
		return "there is no verb: rl-run [OPTIONS] ROOTFS [COMMAND [ARG...]]"
	case "exec", "ps", "logs", "stop", "kill", "wait", "inspect", "rm", "unshare", "net":
		return "rl-" + word + " is a program of its own: rl-" + word + " --help"
	case "network":
		return "rl-net is a program of its own: rl-net --help"
	case "help", "version":
		return "rl-run --" + word
	}
	return ""
}

// looksLikeImage reports whether a word is an image reference such as
// docker.io/library/debian:12 or debian.
func looksLikeImage(s string) bool {
	return strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789-_./:@") == ""
}
