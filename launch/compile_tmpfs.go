package launch

import (
	"fmt"

	"github.com/rl-run/rl-run/rootfs/mountspec"
)

// tmpfsOwners refuses a tmpfs whose root directory would be owned by who has no id in the container, for which the kernel has
// EINVAL alone.
func (c *compiler) tmpfsOwners() error {
	for _, m := range c.spec.Mounts {
		t, ok := m.(mountspec.Tmpfs)
		if !ok {
			continue
		}
		if _, ok := c.IDs.Maps.HostUID(t.UID); !ok && t.UID != 0 {
			return c.lacksIDs(fmt.Errorf("mount tmpfs on %s: uid %d has no id in the container's map", t.Target, t.UID))
		}
		if _, ok := c.IDs.Maps.HostGID(t.GID); !ok && t.GID != 0 {
			return c.lacksIDs(fmt.Errorf("mount tmpfs on %s: gid %d has no id in the container's map", t.Target, t.GID))
		}
	}
	return nil
}
