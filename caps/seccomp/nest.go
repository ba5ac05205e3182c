package seccomp

import "slices"

// nesting are the calls by which a launcher makes a container: namespaces, mounts, a root and a name. In the default
// profile they need CAP_SYS_ADMIN in the bounding set. In a container they still take a capability of the user namespace
// that the namespace or mount belongs to, so that they are of use in a namespace that the caller has made itself.
var nesting = [...]string{
	"clone", "clone3", "unshare", "setns",
	"mount", "umount", "umount2", "pivot_root", "mount_setattr", "move_mount", "open_tree", "open_tree_attr",
	"fsopen", "fsconfig", "fsmount", "fspick", "statmount", "listmount",
	"sethostname", "setdomainname", "keyctl",
}

// Nest is Default, wider by what another launcher needs to run inside. The terminal's calls stay refused.
func Nest() *Profile {
	p := Default()
	p.Syscalls = slices.DeleteFunc(p.Syscalls, func(r Rule) bool { return r.Action != Allow && slices.Equal(r.calls(), []string{"clone3"}) })
	p.Syscalls = append(p.Syscalls, Rule{Names: nesting[:], Action: Allow})
	return p
}
