package forward

import (
	"sync"

	"golang.org/x/sys/unix"
)

const bufferSize = 64 << 10

// A buffer holds one piece of a stream, or one datagram, which has at most 65507 bytes.
type buffer [bufferSize]byte

var buffers = sync.Pool{New: func() any { return new(buffer) }}

func takeBuffer() *buffer { return buffers.Get().(*buffer) }
func putBuffer(b *buffer) { buffers.Put(b) }

const (
	// pipeSize is /proc/sys/fs/pipe-max-size unless it was changed.
	pipeSize = 1 << 20
	// maxPipes bounds what the pipes take of the 64 MiB that all pipes of one user may
	// have: beyond it, each pipe that any program of this user makes is one of two pages
	// (fs.pipe-user-pages-soft). Two pipes for every connection, as io.Copy would take, come to
	// that with 32 idle clients. A transfer that gets no pipe copies.
	maxPipes = 8
)

type pipe struct{ r, w int }

// pipes has the idle ones and counts all.
var pipes struct {
	sync.Mutex
	idle []*pipe
	made int
}

// takePipe returns an empty pipe, or nil.
func takePipe() *pipe {
	pipes.Lock()
	defer pipes.Unlock()
	if n := len(pipes.idle); n > 0 {
		p := pipes.idle[n-1]
		pipes.idle = pipes.idle[:n-1]
		return p
	}
	if pipes.made == maxPipes {
		return nil
	}
	var fds [2]int
	if unix.Pipe2(fds[:], unix.O_CLOEXEC|unix.O_NONBLOCK) != nil {
		return nil
	}
	// A smaller one does the same in more calls.
	_, _ = unix.FcntlInt(uintptr(fds[1]), unix.F_SETPIPE_SZ, pipeSize)
	pipes.made++
	return &pipe{fds[0], fds[1]}
}

// putPipe takes a pipe back. One that still holds bytes must not be used for another
// connection.
func putPipe(p *pipe, empty bool) {
	pipes.Lock()
	defer pipes.Unlock()
	if empty {
		pipes.idle = append(pipes.idle, p)
		return
	}
	_ = unix.Close(p.r)
	_ = unix.Close(p.w)
	pipes.made--
}
