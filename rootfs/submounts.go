package rootfs

import (
	"fmt"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// Submounts returns the places of the mounts below a directory of the host, in
// the order in which they were made. It reads /proc/self/mountinfo, which grows
// with the host: only a tree that is known to have mounts is looked at.
func Submounts(tree string) ([]string, error) {
	below := strings.TrimSuffix(tree, "/") + "/"
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(m.Mountpoint, below), false
	})
	if err != nil {
		return nil, fmt.Errorf("list mounts below %s: %w", tree, err)
	}
	places := make([]string, len(mounts))
	for i, m := range mounts {
		places[i] = m.Mountpoint
	}
	return places, nil
}
