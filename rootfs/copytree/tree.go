package copytree

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"unicode/utf8"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pageSize is what a tmpfs hands out memory in. It is 4096 on amd64 and, on the
// kernels that distributions ship, on arm64; what the kernel says counts.
var pageSize = int64(unix.Getpagesize())

// tree is what the survey saw.
type tree struct {
	root   *dir
	self   attrs   // of the root
	groups []group // hard links

	pages  int64 // of memory for contents and long symbolic links
	inodes int64 // as tmpfs counts them, without the root, which it has
	data   int64 // bytes of contents, without holes

	done atomic.Int64 // bytes of contents copied so far
}

// dir is a directory of the source. It holds no descriptor: lanes do.
type dir struct {
	parent *dir
	self   uint32 // index of its entry in parent.entries

	foreign bool // its owner is outside the id map
	hollow  bool // made, but empty: unreadable, gone or a pseudo filesystem
	mount   bool // a mount begins here

	names   []byte  // of the entries, each ended by a NUL
	entries []entry // all of them, in the order of the directory
	subs    []*dir  // those which are directories

	// parts is the number of parts of this directory which are still to be
	// copied. Who brings it to 0 gives the directory its times.
	parts atomic.Int32
}

// attrs is what a name can be given once it exists.
type attrs struct {
	uid, gid uint32
	mode     uint16 // with the type
	times    [2]unix.Timespec
}

func (a *attrs) kind() uint16 { return a.mode & unix.S_IFMT }

// perm is the mode that creating an entry can give at once: chown would clear
// the other bits again.
func (a *attrs) perm() uint32 { return uint32(a.mode & 0o777) }

func (a *attrs) special() bool { return a.mode&(unix.S_ISUID|unix.S_ISGID|unix.S_ISVTX) != 0 }

// entry is one name of a directory. It has no pointer, so that the garbage
// collector passes over the many of them.
type entry struct {
	attrs
	name uint32 // offset in dir.names
	link int32  // index in tree.groups, or -1
	size int64
	rdev uint64
}

// group is an inode with more than one name. Names outside of the tree may make
// it look larger than it is.
type group struct {
	dev, ino uint64

	mu sync.Mutex
	// Where the copy of the first name that a worker came to is, once it exists.
	dir  *dir
	name *byte
}

// cname returns the NUL-terminated name of e, fit for a system call.
func (d *dir) cname(e *entry) *byte { return &d.names[e.name] }

// entry returns the entry of d in its parent. The root has none.
func (d *dir) entry() *entry { return &d.parent.entries[d.self] }

// pathOf returns the path of an entry of d, or of d itself where name is nil,
// relative to the root, for messages only.
func (d *dir) pathOf(name *byte) string {
	var parts [][]byte
	if name != nil {
		parts = append(parts, goBytes(name))
	}
	for ; d.parent != nil; d = d.parent {
		parts = append(parts, goBytes(d.parent.cname(d.entry())))
	}
	if len(parts) == 0 {
		return "."
	}
	slices.Reverse(parts)
	return printable(string(bytes.Join(parts, []byte{'/'})))
}

// maxPath is where a path in a message is cut: a very deep tree has paths of
// megabytes.
const maxPath = 1024

// printable keeps a message to one line that a terminal shows as it is.
func printable(path string) string {
	if len(path) > maxPath {
		path = path[:maxPath/2] + "…" + path[len(path)-maxPath/2:]
	}
	if !utf8.ValidString(path) {
		return strconv.Quote(path)
	}
	for _, r := range path {
		if !strconv.IsPrint(r) {
			return strconv.Quote(path)
		}
	}
	return path
}

// goBytes returns the bytes up to the NUL, in place.
func goBytes(p *byte) []byte {
	// Names are at most NAME_MAX bytes, and always ended by a NUL within their
	// arena, so the slice is cut before it could reach beyond.
	n := 0
	for *(*byte)(unsafe.Add(unsafe.Pointer(p), n)) != 0 {
		n++
	}
	return unsafe.Slice(p, n)
}

// cstring returns s with a NUL behind it.
func cstring(s string) *byte {
	b := append([]byte(s), 0)
	return &b[0]
}

// isDots reports whether name is "." or "..".
func isDots(name []byte) bool {
	return string(name) == "." || string(name) == ".."
}
