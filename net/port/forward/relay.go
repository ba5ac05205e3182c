package forward

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// relay carries both directions until both have ended. The caller closes both.
func relay(a, b *net.TCPConn) {
	var other sync.WaitGroup
	other.Go(func() { carry(b, a) })
	carry(a, b)
	other.Wait()
}

// carry moves bytes from src to dst until src ends, and tells dst so.
func carry(dst, src *net.TCPConn) {
	from, err := src.SyscallConn()
	if err != nil {
		return
	}
	to, err := dst.SyscallConn()
	if err != nil {
		return
	}
	p := pump{from: from, to: to}
	switch err := p.run(); {
	case errors.Is(err, io.EOF):
		_ = dst.CloseWrite()
	case p.reading:
		// The client or server is gone, in both directions: nothing that dst could still
		// say would be heard. Closing wakes the other carry up.
		_ = dst.SetLinger(0)
		_ = dst.Close()
		_ = src.Close()
	default:
		// dst is gone, and what it said before it went is still to be delivered: the
		// other carry does so and then finds its end.
		_ = src.CloseRead()
	}
}

// bulk is from how many bytes in one piece on the next piece goes through a pipe, where
// pages move instead of bytes. Below it the two more system calls cost more than the copy.
const bulk = bufferSize

// A pump carries one direction. Between two pieces it holds neither buffer nor pipe.
type pump struct {
	from, to syscall.RawConn
	buffer   *buffer
	pipe     *pipe
	n, at    int  // how many bytes are to be handed on, and, in buffer, from where
	reading  bool // which side an error is about
	hot      bool // the last piece was a large one
	err      error
}

// run returns io.EOF at the end of from, else what failed.
func (p *pump) run() error {
	fill, drain := p.fill, p.drain // made once, not for each piece
	for {
		p.reading = true
		if err := p.from.Read(fill); err != nil {
			p.release()
			return err
		}
		if p.err != nil {
			return p.err
		}
		p.reading = false
		err := p.to.Write(drain)
		p.release()
		if err != nil {
			return err
		}
		if p.err != nil {
			return p.err
		}
	}
}

// fill takes one piece; false means that there is nothing yet.
func (p *pump) fill(fd uintptr) (done bool) {
	if p.hot {
		p.pipe = takePipe()
	}
	for {
		if p.pipe != nil {
			var n int64
			n, p.err = unix.Splice(int(fd), nil, p.pipe.w, nil, pipeSize, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
			p.n = int(n)
		} else {
			if p.buffer == nil {
				p.buffer = takeBuffer()
			}
			p.n, p.err = unix.Read(int(fd), p.buffer[:])
		}
		switch {
		case errors.Is(p.err, unix.EINTR):
			continue
		case errors.Is(p.err, unix.EAGAIN):
			p.n = 0
			p.release()
			return false
		case p.err == nil && p.n == 0:
			p.err = io.EOF
		}
		if p.err != nil {
			p.n = 0
			p.release()
		}
		p.hot = p.n >= bulk
		return true
	}
}

// drain hands the piece on; false means that there is no room for the rest yet.
func (p *pump) drain(fd uintptr) (done bool) {
	for p.n > 0 {
		var n int
		if p.pipe != nil {
			var n64 int64
			n64, p.err = unix.Splice(p.pipe.r, nil, int(fd), nil, p.n, unix.SPLICE_F_NONBLOCK|unix.SPLICE_F_MOVE)
			n = int(n64)
		} else {
			n, p.err = unix.Write(int(fd), p.buffer[p.at:p.at+p.n])
		}
		switch {
		case errors.Is(p.err, unix.EINTR):
			continue
		case errors.Is(p.err, unix.EAGAIN):
			p.err = nil
			return false
		case p.err != nil:
			return true
		}
		p.n -= n
		p.at += n
	}
	return true
}

func (p *pump) release() {
	if p.buffer != nil {
		putBuffer(p.buffer)
		p.buffer = nil
	}
	if p.pipe != nil {
		putPipe(p.pipe, p.n == 0)
		p.pipe = nil
	}
	p.n, p.at = 0, 0
}
