package userns

import (
	"encoding/binary"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Helper is a program that writes one map with a privilege that the caller lacks:
// newuidmap or newgidmap, of shadow's uidmap package.
type Helper struct {
	// Path is where it was found, "" where it was not.
	Path string `json:"path,omitempty"`
	// Privilege is where its privilege comes from: "setuid" (owned by root) or
	// "file capability" (cap_setuid or cap_setgid); "" where it has none.
	Privilege string `json:"privilege,omitempty"`
	// Problem is why it cannot do its work, "" where it can as far as reading
	// shows. It names the program.
	Problem string `json:"problem,omitempty"`
}

// Helpers are both programs that write a map of several ids for a plain user.
type Helpers struct {
	UID Helper `json:"uid"`
	GID Helper `json:"gid"`
}

const (
	newuidmap = "newuidmap"
	newgidmap = "newgidmap"
)

// FindHelpers looks for newuidmap and newgidmap in the absolute directories of
// path, the value of PATH, then in /usr/bin and /usr/sbin, and takes the first that has the privilege
// it needs; without such a one, the first that exists, with its Problem. It reads
// only.
//
// A setuid file counts where its owner is uid 0 as the caller sees it. In a
// nested user namespace the host's newuidmap belongs to the overflow uid: the
// kernel ignores its setuid bit there (an owner outside the map), and the helper
// would be refused. A container's own one works.
func FindHelpers(path string) Helpers {
	return Helpers{
		UID: findHelper(newuidmap, unix.CAP_SETUID, path),
		GID: findHelper(newgidmap, unix.CAP_SETGID, path),
	}
}

func findHelper(name string, capability int, path string) Helper {
	found := Helper{Problem: name + ": not found in PATH, /usr/bin or /usr/sbin"}
	for dir := range searchDirs(path) {
		h, ok := inspectHelper(dir+"/"+name, capability)
		if !ok {
			continue
		}
		if h.Problem == "" {
			return h
		}
		if found.Path == "" {
			found = h
		}
	}
	return found
}

// inspectHelper is false for what is no executable file.
func inspectHelper(path string, capability int) (Helper, bool) {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG || st.Mode&0o111 == 0 {
		return Helper{}, false
	}
	h := Helper{Path: path}
	switch {
	case st.Mode&unix.S_ISUID != 0 && st.Uid == 0:
		h.Privilege = "setuid"
	case hasFileCapability(path, capability):
		h.Privilege = "file capability"
	}
	var fs unix.Statfs_t
	switch {
	case unix.Faccessat(unix.AT_FDCWD, path, unix.X_OK, unix.AT_EACCESS) != nil:
		h.Problem = path + ": not executable for the caller"
	case h.Privilege == "" && st.Mode&unix.S_ISUID != 0:
		h.Problem = path + ": setuid, but its owner is not root of this user namespace"
	case h.Privilege == "":
		h.Problem = path + ": neither setuid root nor with the file capability " + capabilityName(capability)
	case unix.Statfs(path, &fs) == nil && fs.Flags&unix.ST_NOSUID != 0:
		h.Problem = path + ": on a file system mounted nosuid"
	}
	return h, true
}

func capabilityName(capability int) string {
	if capability == unix.CAP_SETGID {
		return "cap_setgid"
	}
	return "cap_setuid"
}

// hasFileCapability reports whether the security.capability attribute of path
// grants capability.
func hasFileCapability(path string, capability int) bool {
	var attr [24]byte // VFS_CAP_REVISION_3; revisions 1 and 2 are 12 and 20 bytes
	n, err := unix.Getxattr(path, "security.capability", attr[:])
	return err == nil && grants(attr[:n], capability)
}

// grants reads a struct vfs_cap_data (capabilities(7)). The capability must be
// permitted and the effective flag set: newuidmap does not raise it by itself.
// Both capabilities asked for here are in the first word of the permitted set.
func grants(attr []byte, capability int) bool {
	if len(attr) < 12 {
		return false
	}
	const effective = 1
	magic := binary.LittleEndian.Uint32(attr[0:])
	permitted := binary.LittleEndian.Uint32(attr[4:])
	return magic&effective != 0 && permitted&(1<<capability) != 0
}

// searchDirs yields the absolute directories of path, then /usr/bin and
// /usr/sbin, each once. A relative directory would let the place where rl-run is
// called choose the program.
func searchDirs(path string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		seen := make([]string, 0, 8)
		for dir := range strings.SplitSeq(path+":/usr/bin:/usr/sbin", ":") {
			if !filepath.IsAbs(dir) || slices.Contains(seen, dir) {
				continue
			}
			seen = append(seen, dir)
			if !yield(dir) {
				return
			}
		}
	}
}

// searchProgram finds an executable by name, in the directories of path, or
// returns an absolute name as it is; "" where there is none.
func searchProgram(name, path string) string {
	if filepath.IsAbs(name) {
		if unix.Access(name, unix.X_OK) != nil {
			return ""
		}
		return name
	}
	for dir := range searchDirs(path) {
		file := dir + "/" + name
		var st unix.Stat_t
		if unix.Stat(file, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG && unix.Access(file, unix.X_OK) == nil {
			return file
		}
	}
	return ""
}

// Looked are the files that Probe looks at for subordinate ids and helpers, whether they are there or not.
func Looked(path string, found Helpers) []string {
	files := []string{etc.passwd, etc.nsswitch, etc.subuid, etc.subgid}
	for _, helper := range [...]struct{ name, path string }{{newuidmap, found.UID.Path}, {newgidmap, found.GID.Path}} {
		for dir := range searchDirs(path) {
			file := dir + "/" + helper.name
			if files = append(files, file); file == helper.path {
				break
			}
		}
	}
	return files
}
