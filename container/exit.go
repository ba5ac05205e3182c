package container

import (
	"time"

	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/internal/keeper"
)

// Exit is how a container ended.
type Exit struct {
	Code      int       // 0 to 255, 128+N after signal N
	At        time.Time // when that was noticed; the zero time is written as 1970
	OOMKilled bool      // the kernel has killed processes of it for lack of memory; of a detached one
	Dropped   uint64    // bytes of output that are in no log, because the disk was full; known before the end, too
}

// parseExit reads the file exit. It is not ok when that tells of no end, whether because there was none or because it
// is damaged.
func parseExit(text []byte) (e Exit, ok bool) {
	s, ok := keeper.ParseExit(text)
	return Exit{Code: s.Code, At: s.At, OOMKilled: cgroup.ParseEvents(s.Events).OOMKills > 0, Dropped: s.Dropped}, ok && s.Ended
}
