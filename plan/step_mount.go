package plan

import (
	"fmt"
	"path"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MakeDir makes a directory in the new root; one that is there is left alone.
type MakeDir struct {
	Path string
	Mode uint32
}

// MakeFile makes an empty file in the new root, as a mount point; one that is
// there is left alone.
type MakeFile struct{ Path string }

// Symlink makes a symbolic link in the new root.
type Symlink struct{ Path, To string }

// Mount mounts a new filesystem in the new root. Flags are MS_* bits of
// mount(2). Strict refuses a symbolic link as target (ENOTDIR).
type Mount struct {
	Type, Target string
	Flags        uint64
	Data         string
	Strict       bool
}

// Bind mounts a file or directory of the host in the new root. Dev and Ino are
// what the launcher saw at Source: anything else is refused (ESTALE). Attr are
// MOUNT_ATTR_* bits (mount_setattr(2)), for the mounts below it too. Strict
// refuses all but a directory as target, also a symbolic link (ENOTDIR).
type Bind struct {
	Source, Target string
	Dev, Ino       uint64
	Recursive      bool
	Attr           uint64
	Slave          bool // follow mounts and unmounts of the host
	Strict         bool
}

// BindSelf makes a part of the new root a mount of its own with attributes, as
// Bind does; a path that is not there is passed over.
type BindSelf struct {
	Target string
	Attr   uint64
}

// BindNode puts a device of the host into the container's /dev.
type BindNode struct{ Name string }

// OpenNull opens the host's /dev/null, for masks, and checks that it is the
// character device 1:3 (CVE-2025-31133).
type OpenNull struct{}

// Mask hides a path: a file under /dev/null, a directory under an empty
// read-only tmpfs. A path that is not there is passed over.
type Mask struct {
	Path string
	Dir  bool
}

// ProvideFile mounts a file with the given content over a path of the
// container. Name is its name in the stage.
type ProvideFile struct{ Target, Name, Content string }

// Kind implements Step.
func (MakeDir) Kind() Kind { return KindMountPoint }

// Kind implements Step.
func (MakeFile) Kind() Kind { return KindMountPoint }

// Kind implements Step.
func (Symlink) Kind() Kind { return KindSymlink }

// Kind implements Step.
func (Mount) Kind() Kind { return KindMount }

// Kind implements Step.
func (Bind) Kind() Kind { return KindBind }

// Kind implements Step.
func (BindSelf) Kind() Kind { return KindBind }

// Kind implements Step.
func (BindNode) Kind() Kind { return KindBind }

// Kind implements Step.
func (OpenNull) Kind() Kind { return KindOpenNull }

// Kind implements Step.
func (Mask) Kind() Kind { return KindMask }

// Kind implements Step.
func (ProvideFile) Kind() Kind { return KindFile }

func (s MakeDir) String() string  { return "make directory " + s.Path }
func (s MakeFile) String() string { return "make file " + s.Path }
func (s Symlink) String() string  { return fmt.Sprintf("link %s to %s", s.Path, s.To) }

func (s Mount) String() string {
	text := fmt.Sprintf("mount %s on %s", s.Type, s.Target)
	if o := s.Options(); o != "" {
		text += " (" + o + ")"
	}
	return text
}

// Options are the flags and the data in the words of mount(8).
func (s Mount) Options() string {
	var o []string
	for _, f := range mountFlags {
		if s.Flags&f.flag != 0 {
			o = append(o, f.name)
		}
	}
	if s.Data != "" {
		o = append(o, s.Data)
	}
	return strings.Join(o, ",")
}

var mountFlags = [...]struct {
	flag uint64
	name string
}{
	{unix.MS_RDONLY, "ro"},
	{unix.MS_NOSUID, "nosuid"},
	{unix.MS_NODEV, "nodev"},
	{unix.MS_NOEXEC, "noexec"},
}

var mountAttrs = [...]struct {
	flag uint64
	name string
}{
	{unix.MOUNT_ATTR_RDONLY, "ro"},
	{unix.MOUNT_ATTR_NOSUID, "nosuid"},
	{unix.MOUNT_ATTR_NODEV, "nodev"},
	{unix.MOUNT_ATTR_NOEXEC, "noexec"},
}

// AttrOptions are MOUNT_ATTR_* bits in the words of mount(8).
func AttrOptions(attr uint64) string {
	var o []string
	for _, f := range mountAttrs {
		if attr&f.flag != 0 {
			o = append(o, f.name)
		}
	}
	return strings.Join(o, ",")
}

func (s Bind) String() string {
	text := "bind "
	if s.Recursive {
		text = "bind recursively "
	}
	text += s.Source + " on " + s.Target
	o := AttrOptions(s.Attr)
	if s.Slave {
		o = strings.Trim(o+",slave", ",")
	}
	if o != "" {
		text += " (" + o + ")"
	}
	return text
}

func (s BindSelf) String() string {
	return fmt.Sprintf("remount %s (%s)", s.Target, AttrOptions(s.Attr))
}

func (s BindNode) String() string    { return "bind /dev/" + s.Name }
func (OpenNull) String() string      { return "open /dev/null for the masks" }
func (s Mask) String() string        { return "mask " + s.Path }
func (s ProvideFile) String() string { return "mount own " + s.Target }

// parent opens the directory of the new root that holds a path.
func (p *program) parent(of string) (dir, name arg) {
	return p.openIn(path.Dir(of), unix.O_PATH|unix.O_DIRECTORY), p.str(path.Base(of))
}

func (s MakeDir) lower(p *program) {
	dir, name := p.parent(s.Path)
	p.call(unix.SYS_MKDIRAT, dir, name, lit(s.Mode)).skips(0, unix.EEXIST)
	p.close(dir)
}

func (s MakeFile) lower(p *program) {
	dir, name := p.parent(s.Path)
	fd := p.keep(p.call(unix.SYS_OPENAT, dir, name,
		lit(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC), lit(0o644)).skips(1, unix.EEXIST))
	p.close(fd)
	p.close(dir)
}

func (s Symlink) lower(p *program) {
	dir, name := p.parent(s.Path)
	p.call(unix.SYS_SYMLINKAT, p.str(s.To), dir, name)
	p.close(dir)
}

// strictly opens directories that no link leads to.
const strictly = uint64(unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW)

func (s Mount) lower(p *program) {
	flags := uint64(unix.O_PATH | unix.O_DIRECTORY)
	if s.Strict {
		flags = strictly
	}
	root, name := at(p.memory.root), s.Target
	if s.Type == "cgroup2" {
		root, name = p.place(s.Target)
	}
	fd := p.keep(p.openFrom(root, name, flags))
	p.call(unix.SYS_FCHDIR, fd)
	p.close(fd)
	p.call(unix.SYS_MOUNT, p.str(s.Type), p.str("."), p.str(s.Type), lit(s.Flags), p.str(s.Data))
	if magic := kernelMagic[s.Type]; magic != 0 && s.Strict {
		fd := p.openIn(s.Target, strictly)
		fs := address((*unix.Statfs_t)(p.a.alloc(int(unsafe.Sizeof(unix.Statfs_t{})))))
		p.call(unix.SYS_FSTATFS, fd, lit(fs))
		p.compare(at(fs+offType), ^uint64(0), magic, unix.ESTALE)
		p.isKernel(s.Target, fd)
	}
}

// kernelMagic tells the filesystems in which paths are masked (statfs(2)).
var kernelMagic = map[string]uint64{"proc": unix.PROC_SUPER_MAGIC, "sysfs": unix.SYSFS_MAGIC}

const offType = uint64(unsafe.Offsetof(unix.Statfs_t{}.Type))

// isKernel says that fd is the root of what is mounted at a path.
func (p *program) isKernel(target string, fd arg) {
	if p.kernel == nil {
		p.kernel = make(map[string]arg)
	}
	p.kernel[target] = fd
}

// place says from where a path is to be looked for, so that one of /proc and /sys is found in the filesystem that is mounted
// there, whatever has become of the directories below.
func (p *program) place(of string) (root arg, name string) {
	for top, fd := range p.kernel {
		if name, ok := strings.CutPrefix(path.Clean(of)+"/", top+"/"); ok {
			return fd, path.Clean(name)
		}
	}
	return at(p.memory.root), of
}

func (s Bind) lower(p *program) {
	m := p.openTree(s.Source, s.Recursive, s.Dev, s.Ino)
	propagation := uint64(0)
	if s.Slave {
		propagation = unix.MS_SLAVE
	}
	if s.Attr != 0 || propagation != 0 {
		p.setAttr(m, s.Attr, propagation, unix.AT_RECURSIVE)
	}
	if !s.Strict {
		p.moveTo(m, p.openIn(s.Target, unix.O_PATH))
		return
	}
	to := p.openIn(s.Target, strictly)
	p.move(m, to)
	p.close(to)
	p.isKernel(s.Target, m)
}

func (s BindSelf) lower(p *program) {
	root, name := p.place(s.Target)
	o := p.openFrom(root, name, unix.O_PATH|unix.O_NOFOLLOW)
	o.skips(5, unix.ENOENT)
	fd := p.keep(o)
	empty := p.str("")
	m := p.keep(p.call(unix.SYS_OPEN_TREE, fd, empty,
		lit(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH|unix.AT_RECURSIVE)))
	p.setAttr(m, s.Attr, 0, unix.AT_RECURSIVE)
	p.moveTo(m, fd)
}

func (s BindNode) lower(p *program) {
	dir, name := p.parent("/dev/" + s.Name)
	fd := p.keep(p.call(unix.SYS_OPENAT, dir, name,
		lit(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC), lit(0o644)))
	p.close(fd)
	p.call(unix.SYS_FCHDIR, dir)
	p.call(unix.SYS_MOUNT, p.str("/dev/"+s.Name), name, lit(0), lit(unix.MS_BIND), lit(0))
	p.close(dir)
}

func (OpenNull) lower(p *program) {
	null := p.call(unix.SYS_OPENAT, cwd, p.str("/dev/null"), lit(unix.O_PATH|unix.O_CLOEXEC)).keepIn(p.memory.devnull)
	st := p.stat(null)
	p.compare(at(st+offRdev), ^uint64(0), unix.Mkdev(1, 3), unix.ENODEV)
}

func (s Mask) lower(p *program) {
	root, name := p.place(s.Path)
	if s.Dir {
		o := p.openFrom(root, name, unix.O_PATH|unix.O_NOFOLLOW)
		o.skips(3, unix.ENOENT)
		fd := p.keep(o)
		p.call(unix.SYS_FCHDIR, fd)
		p.close(fd)
		p.call(unix.SYS_MOUNT, p.str("tmpfs"), p.str("."), p.str("tmpfs"),
			lit(unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC), p.str("size=0,nr_inodes=1,mode=0555"))
		return
	}
	null := func() arg {
		return p.keep(p.call(unix.SYS_OPEN_TREE, at(p.memory.devnull), p.str(""),
			lit(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_EMPTY_PATH)))
	}
	if root != at(p.memory.root) && !strings.Contains(name, "/") {
		m := null() // move_mount(2) follows no link in the last name, and there is no other
		p.call(unix.SYS_MOVE_MOUNT, m, p.str(""), root, p.str(name), lit(unix.MOVE_MOUNT_F_EMPTY_PATH)).skips(0, unix.ENOENT)
		p.close(m)
		return
	}
	o := p.openFrom(root, name, unix.O_PATH|unix.O_NOFOLLOW)
	o.skips(4, unix.ENOENT)
	fd := p.keep(o)
	p.moveTo(null(), fd)
}

func (s ProvideFile) lower(p *program) {
	name := p.str(s.Name)
	fd := p.keep(p.call(unix.SYS_OPENAT, at(p.memory.stage), name,
		lit(unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC), lit(0o644)))
	if s.Content != "" {
		p.call(unix.SYS_WRITE, fd, p.str(s.Content), lit(len(s.Content))).wants(int64(len(s.Content)))
	}
	p.close(fd)
	m := p.keep(p.call(unix.SYS_OPEN_TREE, at(p.memory.stage), name, lit(unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)))
	p.moveTo(m, p.openIn(s.Target, unix.O_PATH))
}
