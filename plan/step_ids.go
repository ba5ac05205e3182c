package plan

import (
	"fmt"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// MapIDs has the parent write the id maps of the new user namespace and read
// them back. By names the way: "helpers" are newuidmap(1) and newgidmap(1),
// "direct" a write with CAP_SETUID and CAP_SETGID in the caller's namespace.
type MapIDs struct {
	UID, GID []Extent
	By       string
	Helpers  [2]string // paths of newuidmap and newgidmap
}

// MapOwnIDs has init write a map of a single id, the caller's own, which needs
// no privilege once setgroups(2) is denied (user_namespaces(7)).
type MapOwnIDs struct{ UID, GID Extent }

// SetIDs changes all user and group ids, and the supplementary groups unless
// KeepGroups: setgroups(2) is EPERM in a user namespace with a single-id map.
type SetIDs struct {
	UID, GID   uint32
	Groups     []uint32
	KeepGroups bool
}

// Kind implements Step.
func (MapIDs) Kind() Kind { return KindMapIDs }

// Kind implements Step.
func (MapOwnIDs) Kind() Kind { return KindMapIDs }

// Kind implements Step.
func (SetIDs) Kind() Kind { return KindSetIDs }

func (s MapIDs) String() string {
	return fmt.Sprintf("map ids: users %s, groups %s (%s)", extents(s.UID), extents(s.GID), s.By)
}

func (s MapOwnIDs) String() string {
	return fmt.Sprintf("map ids: users %s, groups %s (own)", extents([]Extent{s.UID}), extents([]Extent{s.GID}))
}

func (s SetIDs) String() string {
	switch {
	case s.KeepGroups:
		return fmt.Sprintf("become %d:%d, keep the groups", s.UID, s.GID)
	case len(s.Groups) == 0:
		return fmt.Sprintf("become %d:%d, no groups", s.UID, s.GID)
	}
	return fmt.Sprintf("become %d:%d, groups %s", s.UID, s.GID, strings.Trim(fmt.Sprint(s.Groups), "[]"))
}

func extents(list []Extent) string {
	var b strings.Builder
	for i, e := range list {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "%d:%d:%d", e.Inside, e.Outside, e.Count)
	}
	return b.String()
}

func (s MapOwnIDs) lower(p *program) {
	line := func(e Extent) string { return fmt.Sprintf("%d %d %d", e.Inside, e.Outside, e.Count) }
	// setgroups first: gid_map is EPERM without (Linux 3.19, CVE-2014-8989)
	for _, f := range [][2]string{
		{"/proc/self/setgroups", "deny"},
		{"/proc/self/uid_map", line(s.UID)},
		{"/proc/self/gid_map", line(s.GID)},
	} {
		fd := p.keep(p.call(unix.SYS_OPENAT, cwd, p.str(f[0]), lit(unix.O_WRONLY|unix.O_CLOEXEC)))
		p.call(unix.SYS_WRITE, fd, p.str(f[1]), lit(len(f[1]))).wants(int64(len(f[1])))
		p.close(fd)
	}
}

func (s SetIDs) lower(p *program) {
	if !s.KeepGroups {
		groups := p.a.room(4*len(s.Groups) + 4)
		copy(unsafe.Slice((*uint32)(unsafe.Pointer(&groups[0])), len(s.Groups)), s.Groups)
		p.call(unix.SYS_SETGROUPS, lit(len(s.Groups)), lit(address(&groups[0])))
	}
	gid, uid := lit(s.GID), lit(s.UID)
	p.call(unix.SYS_SETRESGID, gid, gid, gid)
	p.call(unix.SYS_SETRESUID, uid, uid, uid)
}
