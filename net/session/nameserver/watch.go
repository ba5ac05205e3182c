package nameserver

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
)

// Watch keeps the names of one network as they are in its directory. What was
// registered before a question is known when it is answered: changes are looked
// for then, in the queue of inotify(7), and the directory is read again only
// where there are some.
type Watch struct {
	dir     session.Dir
	network string
	fd      int // -1: no inotify, the directory is read each time

	mu    sync.Mutex
	names Names
	fresh bool
}

// NewWatch makes the directory where it is missing. The error is an *os.PathError.
func NewWatch(d session.Dir, network string) (*Watch, error) {
	path := d.NamesDir(network)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	w := &Watch{dir: d, network: network, fd: -1}
	// A user has 128 of them by default: without one it is slower, no more.
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return w, nil
	}
	const changes = unix.IN_MOVED_TO | unix.IN_MOVED_FROM | unix.IN_DELETE | unix.IN_CLOSE_WRITE | unix.IN_DELETE_SELF | unix.IN_MOVE_SELF
	if _, err := unix.InotifyAddWatch(fd, path, changes); err != nil {
		_ = unix.Close(fd)
		return w, nil
	}
	w.fd = fd
	return w, nil
}

// Names are those of now. The map is not to be changed.
func (w *Watch) Names() Names {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		buffer := make([]byte, 4096)
		for {
			n, err := unix.Read(w.fd, buffer)
			if err == unix.EINTR {
				continue
			}
			if n <= 0 {
				break
			}
			w.fresh = false
		}
	}
	if !w.fresh {
		names, _ := w.dir.Names(w.network)
		w.names, w.fresh = names, w.fd >= 0
	}
	return w.names
}

// Close gives the descriptor back.
func (w *Watch) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd >= 0 {
		_ = unix.Close(w.fd)
		w.fd, w.fresh = -1, false
	}
}
