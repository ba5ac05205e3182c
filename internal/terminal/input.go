package terminal

import "golang.org/x/sys/unix"

// rawPause is after how many ms a pty whose input has ended is looked at again
// while it is read byte by byte: nothing tells of a change of its modes. It doubles
// up to a second.
const rawPause = 100

// feedEnd gives the pty its end-of-file character as soon as it is read by
// lines; last is the byte before. It returns when that is done, or the container
// has ended.
func (s *Session) feedEnd(master int, last byte) {
	for pause := rawPause; ; pause = min(2*pause, 1000) {
		modes, err := unix.IoctlGetTermios(master, unix.TCGETS) // of a master those of its slave
		if err != nil {
			return
		}
		if modes.Lflag&unix.ICANON != 0 {
			s.feed(master, ending(modes, last))
			return
		}
		if ended, _ := s.state(); ended {
			return
		}
		last = '\n' // what is unread becomes a line of its own with the change of modes
		s.wakeInput.wait(-1, 0, pause)
	}
}

// ending is the end of a file that ends with the byte last, in the characters of
// a terminal: behind the beginning of a line the first ends that line, and the
// second the file. It is empty where the terminal has no such character.
func ending(modes *unix.Termios, last byte) []byte {
	const disabled = 0 // _POSIX_VDISABLE
	eof := modes.Cc[unix.VEOF]
	switch {
	case eof == disabled:
		return nil
	case last == '\n', last == eof, last == '\r' && modes.Iflag&unix.ICRNL != 0,
		last != disabled && (last == modes.Cc[unix.VEOL] || last == modes.Cc[unix.VEOL2]):
		return []byte{eof}
	}
	return []byte{eof, eof}
}
