package container

import (
	"bytes"
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/keeper"
	"github.com/rl-run/rl-run/internal/sys"
)

// ErrNoLog says that nothing is kept of what a container writes.
var ErrNoLog = errors.New("it runs in the foreground: what it writes is not kept")

// Log reads what a container has written.
type Log struct {
	entry *Entry
	file  *os.File // what is read
	watch int      // inotify; -1 where there is none
	// Lost is called when the container wrote so fast that a file of the ring was gone before it could be read.
	Lost func()
}

// Log opens the container's log. The error is ErrNoLog or an *os.PathError.
func (e *Entry) Log() (*Log, error) {
	if e.dir < 0 {
		return nil, e.Damage
	}
	if e.Status != Damaged && !e.State.Detached {
		return nil, ErrNoLog
	}
	return &Log{entry: e, watch: -1, Lost: func() {}}, nil
}

// open opens a file of the ring; nil where it is not there.
func (l *Log) open(name string) (*os.File, error) {
	fd, err := sys.OpenAt(l.entry.dir, name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// What does not block goes to a poller, which takes a descriptor more, and without one Go's runtime ends the program.
	if err := regular(fd, l.entry.path+"/"+name); err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), l.entry.path+"/"+name), nil
}

// regular lets reading a regular file wait, and refuses any other.
func regular(fd int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return &os.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	return unix.SetNonblock(fd, false)
}

// Write writes what there is, but no more than the last lines unless that is negative. With follow it goes on until
// the container has ended; without, what is written meanwhile is left out, or there might be no end.
func (l *Log) Write(to io.Writer, lines int, follow bool) error {
	if follow {
		l.startWatch()
		defer l.stopWatch()
	}
	older, err := l.begin()
	if err != nil {
		return err
	}
	defer func() {
		if l.file != nil {
			_ = l.file.Close()
		}
	}()
	there := l.there(older)
	if lines >= 0 {
		err = tail(to, there, lines)
	} else {
		for _, r := range there {
			if _, err = io.Copy(to, r); err != nil {
				break
			}
		}
	}
	if older != nil {
		_ = older.Close()
	}
	if err != nil || !follow {
		return err
	}
	for {
		// Asked before the read: what was written before the end is read.
		ended := l.entry.silent()
		if err := l.drain(to); err != nil || ended {
			return err
		}
		l.await()
	}
}

// begin opens both files of the ring, log.1 for its part before the other: the two belong together when log.1 still
// is the same file afterwards.
func (l *Log) begin() (older *os.File, err error) {
	for range 10 {
		if older, err = l.open(keeper.OldLog); err != nil {
			return nil, err
		}
		if l.file, err = l.open(keeper.Log); err != nil {
			if older != nil {
				_ = older.Close()
			}
			return nil, err
		}
		if l.isNamed(older, keeper.OldLog) {
			return older, nil
		}
		for _, f := range [...]*os.File{older, l.file} {
			if f != nil {
				_ = f.Close()
			}
		}
		l.file = nil
	}
	l.file, err = l.open(keeper.Log)
	return nil, err
}

// isNamed reports whether a file, nil for none, has that name in the ring.
func (l *Log) isNamed(f *os.File, name string) bool {
	var have, want unix.Stat_t
	there := unix.Fstatat(l.entry.dir, name, &have, unix.AT_SYMLINK_NOFOLLOW) == nil
	if f == nil || !there {
		return f == nil && !there
	}
	return unix.Fstat(int(f.Fd()), &want) == nil && have.Dev == want.Dev && have.Ino == want.Ino
}

// there is what the files of the ring hold now.
func (l *Log) there(older *os.File) (parts []io.Reader) {
	for _, f := range [...]*os.File{older, l.file} {
		if f == nil {
			continue
		}
		if st, err := f.Stat(); err == nil {
			parts = append(parts, io.LimitReader(f, st.Size()))
		}
	}
	return parts
}

// tail writes the last lines of all parts. Together they are of a few megabytes.
func tail(to io.Writer, parts []io.Reader, lines int) error {
	text, err := io.ReadAll(io.MultiReader(parts...))
	if err != nil {
		return err
	}
	_, err = to.Write(lastLines(text, lines))
	return err
}

// lastLines cuts a text; a last line without its end is one too.
func lastLines(text []byte, n int) []byte {
	at := len(text)
	for i := range n {
		if at == 0 {
			break
		}
		end := at
		if i == 0 && text[end-1] != '\n' {
			end++
		}
		at = bytes.LastIndexByte(text[:end-1], '\n') + 1
	}
	return text[at:]
}

// drain writes what has come since, on through the files that followed.
func (l *Log) drain(to io.Writer) error {
	for {
		if l.file != nil {
			if _, err := io.Copy(to, l.file); err != nil {
				return err
			}
		}
		if l.isNamed(l.file, keeper.Log) {
			return nil
		}
		next, err := l.open(keeper.Log)
		if err != nil || next == nil {
			return err // between the two renames
		}
		if l.file != nil {
			// The last of it came after the read above and before the rename.
			if _, err := io.Copy(to, l.file); err != nil {
				_ = next.Close()
				return err
			}
			if !l.isNamed(l.file, keeper.OldLog) && l.isNamed(next, keeper.Log) {
				l.Lost()
			}
			_ = l.file.Close()
		}
		l.file = next
	}
}

// silent reports whether nobody writes the log any more.
func (e *Entry) silent() bool {
	return e.Refresh() != nil || e.Status == Damaged || e.Status == Exited && e.ended || e.Status == Dead
}

// await waits until something may have been written. inotify(7) does not tell of the container's end, nor, before
// Linux 6.7, of all that splice(2) writes: the wait is short.
func (l *Log) await() {
	const pause = 50 * time.Millisecond
	if l.watch < 0 {
		time.Sleep(pause)
		return
	}
	if ready, _ := sys.Readable(l.watch, int(pause/time.Millisecond)); ready {
		var events [4096]byte
		_, _ = unix.Read(l.watch, events[:])
	}
}

func (l *Log) startWatch() {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return
	}
	if _, err := unix.InotifyAddWatch(fd, l.entry.path, unix.IN_MODIFY|unix.IN_MOVE|unix.IN_CREATE); err != nil {
		_ = unix.Close(fd)
		return
	}
	l.watch = fd
}

func (l *Log) stopWatch() {
	if l.watch >= 0 {
		_ = unix.Close(l.watch)
	}
	l.watch = -1
}
