package userns

// Way is who writes the maps.
type Way string

const (
	// WaySelf: a single id, the caller's own, which the kernel lets a process map
	// without privilege once it has written "deny" to setgroups
	// (user_namespaces(7)). The process in the new namespace does it itself, or
	// its parent does.
	WaySelf Way = "self"
	// WayHelpers: newuidmap and newgidmap, for ids granted to a plain user.
	WayHelpers Way = "helpers"
	// WayDirect: the parent itself, which has CAP_SETUID and CAP_SETGID in its
	// user namespace: root, also that of a container. Since Linux 5.12 a map of
	// its uid 0 needs CAP_SETFCAP too.
	WayDirect Way = "direct"
)

// How is the decision how two maps are written. Its zero value is none.
type How struct {
	Way Way `json:"way"`
	// NewUIDMap and NewGIDMap are the paths of the helpers, for WayHelpers.
	NewUIDMap string `json:"newuidmap,omitempty"`
	NewGIDMap string `json:"newgidmap,omitempty"`
}

// chooseWay tells how the caller can write maps of any of the ids he may use, or,
// with a zero How, why he can map his own id alone.
func chooseWay(c Caller) (how How, reason string) {
	switch {
	case c.privileged():
		// Before the helpers even where there are some: no process to start.
		return How{Way: WayDirect}, ""
	case c.Helpers.UID.Problem != "":
		return How{}, c.Helpers.UID.Problem
	case c.Helpers.GID.Problem != "":
		return How{}, c.Helpers.GID.Problem
	case c.Helpers.UID.Path == "" || c.Helpers.GID.Path == "":
		// Where Probe left them out.
		return How{}, newuidmap + " and " + newgidmap + ": not looked for"
	case c.Bar != "":
		return How{}, newuidmap + " gains no privilege: " + c.Bar
	}
	return How{Way: WayHelpers, NewUIDMap: c.Helpers.UID.Path, NewGIDMap: c.Helpers.GID.Path}, ""
}

// privileged callers write any map of ids that exist in their user namespace.
func (c Caller) privileged() bool { return c.CapSetUID && c.CapSetGID }

// isOwn reports whether the maps hold the caller's own ids and no other.
func (m Maps) isOwn(c Caller) bool {
	return len(m.UID) == 1 && m.UID[0].Count == 1 && m.UID[0].Outside == c.UID &&
		len(m.GID) == 1 && m.GID[0].Count == 1 && m.GID[0].Outside == c.GID
}
