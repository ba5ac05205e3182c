package plan

import (
	"errors"
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Stage mounts a tmpfs on a directory that every /proc has and nobody needs: in
// it lie the overlay's upper and work directory, the mount point of the new root
// and the files that the launcher provides. Over the old root itself it would
// stay above that one when it is detached. Size is in bytes; 0 leaves the kernel's
// default, half of the memory.
type Stage struct{ Size uint64 }

// StageDir makes a directory in the stage.
type StageDir struct {
	Name     string
	Mode     uint32 // permission bits
	UID, GID uint32 // ids of the container
}

// AttachTree binds a directory of the host into the stage, under Name. Dev and
// Ino are what the launcher saw at Path: another directory is refused (ESTALE);
// both 0 for one that the plan itself makes.
// ReadOnly covers the mounts below it too.
type AttachTree struct {
	Path      string
	Dev, Ino  uint64
	Name      string
	Recursive bool
	ReadOnly  bool
}

// RootTmpfs mounts a tmpfs in the stage as the new root.
type RootTmpfs struct {
	Size uint64
	Mode uint32
}

// Overlay mounts an overlay in the stage as the new root. The layers are names
// in the stage. It always has userxattr: without, a user namespace's overlay
// ignores its own opaque directories and deleted files come back.
type Overlay struct {
	Lower       []string // uppermost first
	Upper, Work string
	Volatile    bool // no sync at the unmount: for layers that are thrown away
	OnDisk      bool // others may write where Upper and Work are: a link on the way to them is refused (ELOOP)
}

// OpenRoot opens the new root; all later paths of the container are resolved
// from it.
type OpenRoot struct{}

// CopyTree has a helper process copy one directory of the stage into another.
// The helper is the launcher's own binary, since this is work for Go. Source
// is the path that it names in its messages.
type CopyTree struct {
	From, To, Source string
	Quiet            bool
}

// ReadOnlyRoot makes the new root read-only; mounts below it stay as they are.
type ReadOnlyRoot struct{}

// PivotRoot makes the new root the root and detaches the old one
// (pivot_root(2), the notes on pivot_root(".", ".")).
type PivotRoot struct{}

// ShareTree has the parent hold a shared lock of ROOTFS while the container runs
// in it, so that none takes away the mount points that another one uses.
type ShareTree struct{ Path string }

// RemoveMountPoint has the parent remove, after the end, an empty file or
// directory of ROOTFS that had to be made as a mount point.
type RemoveMountPoint struct {
	Rootfs, Path string
	Dir          bool
}

// PrepareLayers has the parent make, or take again, the directory on disk with
// an overlay's upper and work directory, and lock it. About says what the layers
// belong to: a directory that was made for something else is refused.
type PrepareLayers struct {
	Dir   string
	Mode  uint32 // of a new upper directory
	About string // empty for a temporary directory, which must be new
}

// RemoveLayers has the parent delete, after the end, a temporary directory of
// layers, from inside the id map since files in it may have any of its ids.
type RemoveLayers struct {
	Dir      string
	UID, GID []Extent
}

// Kind implements Step.
func (Stage) Kind() Kind { return KindStage }

// Kind implements Step.
func (StageDir) Kind() Kind { return KindStage }

// Kind implements Step.
func (AttachTree) Kind() Kind { return KindAttach }

// Kind implements Step.
func (RootTmpfs) Kind() Kind { return KindNewRoot }

// Kind implements Step.
func (Overlay) Kind() Kind { return KindNewRoot }

// Kind implements Step.
func (OpenRoot) Kind() Kind { return KindOpenRoot }

// Kind implements Step.
func (CopyTree) Kind() Kind { return KindCopy }

// Kind implements Step.
func (ReadOnlyRoot) Kind() Kind { return KindReadOnlyRoot }

// Kind implements Step.
func (PivotRoot) Kind() Kind { return KindPivot }

// Kind implements Step.
func (ShareTree) Kind() Kind { return KindLayers }

// Kind implements Step.
func (RemoveMountPoint) Kind() Kind { return KindCleanup }

// Kind implements Step.
func (PrepareLayers) Kind() Kind { return KindLayers }

// Kind implements Step.
func (RemoveLayers) Kind() Kind { return KindCleanup }

func (s Stage) String() string { return "mount the stage tmpfs" + size(s.Size) }

func size(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" of %d bytes", n)
}

func (s StageDir) String() string {
	return fmt.Sprintf("make stage directory %s, mode %04o, owner %d:%d", s.Name, s.Mode, s.UID, s.GID)
}

func (s AttachTree) String() string {
	how := "bind "
	if s.Recursive {
		how = "bind recursively "
	}
	if s.ReadOnly {
		how += "read-only "
	}
	return how + s.Path + " as " + s.Name
}

func (s RootTmpfs) String() string { return "mount a tmpfs" + size(s.Size) + " as root" }

func (s Overlay) String() string { return "mount overlay as root: " + s.Options() }

// Options are the mount options of the overlay. Layers are relative to the
// stage, so that no path of a user has to be escaped or shortened.
func (s Overlay) Options() string { return s.options(s.Upper, s.Work) }

func (s Overlay) options(upper, work string) string {
	o := "lowerdir=" + strings.Join(s.Lower, ":") + ",upperdir=" + upper + ",workdir=" + work + ",userxattr"
	if s.Volatile {
		o += ",volatile"
	}
	return o
}

func (OpenRoot) String() string     { return "open the new root" }
func (s CopyTree) String() string   { return fmt.Sprintf("copy %s to %s", s.Source, s.To) }
func (ReadOnlyRoot) String() string { return "make the new root read-only" }
func (PivotRoot) String() string    { return "pivot into the new root, detach the old one" }
func (s ShareTree) String() string  { return "share " + s.Path + " with other containers" }
func (s RemoveMountPoint) String() string {
	return "remove the mount point " + s.Path + " if empty"
}
func (s PrepareLayers) String() string { return "prepare layers in " + s.Dir }
func (s RemoveLayers) String() string  { return "remove " + s.Dir }

func (s Stage) lower(p *program) {
	fs := p.keep(p.call(unix.SYS_FSOPEN, p.str("tmpfs"), lit(unix.FSOPEN_CLOEXEC)))
	set := func(key, value string) {
		p.call(unix.SYS_FSCONFIG, fs, lit(unix.FSCONFIG_SET_STRING), p.str(key), p.str(value), lit(0))
	}
	set("source", "tmpfs")
	set("mode", "0755")
	if s.Size != 0 {
		set("size", fmt.Sprint(s.Size))
	}
	p.call(unix.SYS_FSCONFIG, fs, lit(unix.FSCONFIG_SET_STRING), p.str("huge"), p.str(largePages), lit(0)).skips(0, unix.EINVAL)
	p.call(unix.SYS_FSCONFIG, fs, lit(unix.FSCONFIG_CMD_CREATE), lit(0), lit(0), lit(0))
	stage := p.call(unix.SYS_FSMOUNT, fs, lit(unix.FSMOUNT_CLOEXEC),
		lit(unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)).keepIn(p.memory.stage)
	p.close(fs)
	p.call(unix.SYS_MOVE_MOUNT, stage, p.str(""), cwd, p.str(StagePoint), lit(unix.MOVE_MOUNT_F_EMPTY_PATH))
}

// largePages has a tmpfs take pages of many sizes in one piece where a file fills them (tmpfs(5), huge=). From Linux 6.14 on a write of
// 1 MiB is four times as fast, a copy of a tree a tenth to a quarter, and no more memory is needed; before, it hardly changes anything. A
// kernel that has no such pages answers EINVAL.
const largePages = "within_size"

func tmpfsOptions(mode uint32, size uint64) (large, plain string) {
	plain = fmt.Sprintf("mode=%04o", mode)
	if size != 0 {
		plain += fmt.Sprintf(",size=%d", size)
	}
	return plain + ",huge=" + largePages, plain
}

// Options are the options of its mount but for nosuid and nodev, and those for a kernel without large pages (largePages).
func (s Stage) Options() (large, plain string) { return tmpfsOptions(0o755, s.Size) }

// StagePoint is where the stage is mounted: proc_root_init() in the kernel's
// fs/proc/root.c makes it whatever is configured.
const StagePoint = "/proc/driver"

// hideStage leaves the stage out of recursive clones of trees that it lies in,
// or shows it again (mount_namespaces(7), MS_UNBINDABLE).
func (p *program) hideStage(hide bool) {
	propagation := uint64(unix.MS_PRIVATE)
	if hide {
		propagation = unix.MS_UNBINDABLE
	}
	p.setAttr(at(p.memory.stage), 0, propagation, 0)
}

func (s StageDir) lower(p *program) {
	stage, name := at(p.memory.stage), p.str(s.Name)
	p.call(unix.SYS_MKDIRAT, stage, name, lit(s.Mode))
	if s.UID != 0 || s.GID != 0 {
		p.call(unix.SYS_FCHOWNAT, stage, name, lit(s.UID), lit(s.GID), lit(0))
	}
	if s.Mode&^0o1777 != 0 { // mkdir drops setuid and setgid
		p.call(unix.SYS_FCHMODAT, stage, name, lit(s.Mode))
	}
}

// statOffsets of struct stat, which differ between the architectures.
const (
	offDev  = uint64(unsafe.Offsetof(unix.Stat_t{}.Dev))
	offIno  = uint64(unsafe.Offsetof(unix.Stat_t{}.Ino))
	offRdev = uint64(unsafe.Offsetof(unix.Stat_t{}.Rdev))
)

// stat has the kernel describe what fd is open on.
func (p *program) stat(fd arg) (to uint64) {
	to = address((*unix.Stat_t)(p.a.alloc(int(unsafe.Sizeof(unix.Stat_t{})))))
	p.call(unix.SYS_FSTAT, fd, lit(to))
	return to
}

// openTree makes a detached clone of the tree at a path of the host and checks
// that it is what the launcher saw there.
func (p *program) openTree(path string, recursive bool, dev, ino uint64) arg {
	flags := uint64(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
		p.hideStage(true)
	}
	m := p.keep(p.call(unix.SYS_OPEN_TREE, cwd, p.str(path), lit(flags)))
	if recursive {
		p.hideStage(false)
	}
	if dev == 0 && ino == 0 {
		return m
	}
	st := p.stat(m)
	p.compare(at(st+offDev), ^uint64(0), dev, unix.ESTALE)
	p.compare(at(st+offIno), ^uint64(0), ino, unix.ESTALE)
	return m
}

func (s AttachTree) lower(p *program) {
	p.call(unix.SYS_MKDIRAT, at(p.memory.stage), p.str(s.Name), lit(0o700))
	m := p.openTree(s.Path, s.Recursive, s.Dev, s.Ino)
	if s.ReadOnly {
		p.setAttr(m, unix.MOUNT_ATTR_RDONLY, 0, unix.AT_RECURSIVE)
	}
	p.call(unix.SYS_MOVE_MOUNT, m, p.str(""), at(p.memory.stage), p.str(s.Name), lit(unix.MOVE_MOUNT_F_EMPTY_PATH))
	p.close(m)
}

// stageRoot is the name of the new root's mount point in the stage.
const stageRoot = "root"

// Options are the options of its mount, and those for a kernel without large pages (largePages).
func (s RootTmpfs) Options() (large, plain string) { return tmpfsOptions(s.Mode, s.Size) }

func (s RootTmpfs) lower(p *program) {
	p.call(unix.SYS_MKDIRAT, at(p.memory.stage), p.str(stageRoot), lit(0o700))
	p.call(unix.SYS_FCHDIR, at(p.memory.stage))
	large, plain := s.Options()
	mount := func(options string) *op {
		return p.call(unix.SYS_MOUNT, p.str("tmpfs"), p.str(stageRoot), p.str("tmpfs"), lit(0), p.str(options))
	}
	mount(large).skips(1, unix.EINVAL)
	p.jump(1)
	mount(plain)
}

func (s Overlay) lower(p *program) {
	p.call(unix.SYS_MKDIRAT, at(p.memory.stage), p.str(stageRoot), lit(0o700))
	p.call(unix.SYS_FCHDIR, at(p.memory.stage))
	mount := func(options arg) {
		p.call(unix.SYS_MOUNT, p.str("overlay"), p.str(stageRoot), p.str("overlay"), lit(0), options)
	}
	if !s.OnDisk {
		mount(p.str(s.Options()))
		return
	}
	// The kernel follows links in the names that it is given here. So these are of what has been opened without.
	upper, work := p.openReal(s.Upper), p.openReal(s.Work)
	const opened = "/proc/self/fd/" + "//////////" // slashes more than one are as good as one, and where the number leaves room
	text := s.options(opened, opened)
	options := p.a.str(text)
	first := strings.Index(text, opened) + len(opened)
	p.decimal(upper, options+uint64(first))
	p.decimal(work, options+uint64(first+strings.Index(text[first:], opened)+len(opened)))
	mount(lit(options))
	p.close(upper)
	p.close(work)
}

// openReal opens a directory of the stage on whose way there is no link.
func (p *program) openReal(name string) arg {
	return p.keep(p.call(unix.SYS_OPENAT2, at(p.memory.stage), p.str(name),
		p.openHow(unix.O_PATH|unix.O_DIRECTORY, 0, unix.RESOLVE_NO_SYMLINKS), lit(unsafe.Sizeof(unix.OpenHow{}))))
}

func (OpenRoot) lower(p *program) {
	p.call(unix.SYS_OPENAT, at(p.memory.stage), p.str(stageRoot),
		lit(unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)).keepIn(p.memory.root)
}

func (s CopyTree) lower(p *program) {
	helper := &program{a: p.a, step: p.step, wiring: p.wiring, memory: p.memory, ops: p.a.newOps(maxHelperOps)}
	helper.call(unix.SYS_PRCTL, lit(unix.PR_SET_PDEATHSIG), lit(unix.SIGKILL))
	helper.call(unix.SYS_FCHDIR, at(p.memory.stage))
	helper.call(unix.SYS_CLOSE_RANGE, lit(3), lit(allFDs), lit(unix.CLOSE_RANGE_CLOEXEC))
	helper.call(unix.SYS_RT_SIGPROCMASK, lit(unix.SIG_SETMASK), lit(p.sigmask), lit(0), lit(8))
	argv := []string{CopyVerb, s.From, s.To, s.Source}
	if s.Quiet {
		argv = append(argv, "quiet")
	}
	helper.call(unix.SYS_EXECVE, p.str("/proc/self/exe"), lit(p.a.strs(argv)), lit(p.a.strs(nil)))

	pid := p.keep(p.spawn(helper))
	status := p.a.word()
	p.call(unix.SYS_WAIT4, pid, lit(status), lit(0), lit(0))
	p.compare(at(status), 1<<32-1, 0, errHelper)
}

// CopyVerb is the name under which the launcher's binary is the copy helper.
const CopyVerb = "rl-run-copy"

// errHelper is reported for a helper that ended with a message of its own.
const errHelper = unix.ENOTRECOVERABLE

// HelperSpoke reports whether a failed step's helper process has said why on
// stderr already.
func HelperSpoke(e *StepError) bool { return e.Step.Kind() == KindCopy && errors.Is(e.Err, errHelper) }

func (ReadOnlyRoot) lower(p *program) {
	p.setAttr(at(p.memory.root), unix.MOUNT_ATTR_RDONLY, 0, 0)
}

func (PivotRoot) lower(p *program) {
	p.call(unix.SYS_FCHDIR, at(p.memory.root))
	p.call(unix.SYS_PIVOT_ROOT, p.str("."), p.str("."))
	p.call(unix.SYS_UMOUNT2, p.str("."), lit(unix.MNT_DETACH))
	p.call(unix.SYS_CHDIR, p.str("/"))
}
