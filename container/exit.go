package container

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// ExitSize is the size of the file exit in bytes, from its making to the end.
const ExitSize = 32

// Exit is how a container ended.
type Exit struct {
	Code int       // 0 to 255, 128+N after signal N
	At   time.Time // zero where it is not known
}

// EmptyExit is the file of a container that has not ended: it takes all the space that the end will need, so that a
// full disk cannot hide it.
func EmptyExit() []byte {
	text := bytes.Repeat([]byte{' '}, ExitSize)
	text[ExitSize-1] = '\n'
	return text
}

// Text is the file of an ended container: "exit CODE at SECONDS", padded with blanks to ExitSize. The seconds are
// those since 1970.
func (e Exit) Text() []byte {
	text := EmptyExit()
	line := fmt.Sprintf("exit %d", e.Code)
	if !e.At.IsZero() {
		line += fmt.Sprintf(" at %d", e.At.Unix())
	}
	copy(text[:ExitSize-1], line)
	return text
}

// ParseExit reads the file; false for one that tells of no end, whether for emptiness or damage. Words that follow
// those that Text writes are passed over.
func ParseExit(text []byte) (Exit, bool) {
	words := bytes.Fields(text)
	if len(words) < 2 || string(words[0]) != "exit" {
		return Exit{}, false
	}
	code, err := strconv.ParseUint(string(words[1]), 10, 8)
	if err != nil {
		return Exit{}, false
	}
	e := Exit{Code: int(code)}
	if len(words) > 3 && string(words[2]) == "at" {
		if s, err := strconv.ParseInt(string(words[3]), 10, 40); err == nil {
			e.At = time.Unix(s, 0)
		}
	}
	return e, true
}
