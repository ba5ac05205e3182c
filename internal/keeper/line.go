package keeper

import (
	"strconv"
	"time"
)

// The exit file is one line of fixed columns, which the keeper overwrites piece by piece: nothing of it needs space.
//
//	live 000 0000000000.000000000 00000000000000000000
//	exit 137 1700000000.123456789 00000000000000004096
//
// Behind it, where the container has a control group, is what its file memory.events said at the end.
//
// They are the state, init's exit status, when that was seen as seconds of the Unix epoch, and how many bytes of output
// were dropped so far. The assembly knows the columns too.
const (
	lineSize    = 51
	codeColumn  = 5
	secColumn   = 9
	nanoColumn  = 20
	countColumn = 30
)

// Status is what an exit file says.
type Status struct {
	// Ended says that init has ended. Without it Code and At are zero. A keeper that was killed never says so.
	Ended bool
	// Code is init's exit status: 0 to 255, or 128+N when signal N killed init itself.
	Code int
	// At is the host's realtime when init's end was noticed.
	At time.Time
	// Dropped is how many bytes of output could not be written to the ring.
	Dropped uint64
	// Events is the text of the control group's memory.events; empty where there is no such group.
	Events string
}

// EmptyExit returns the content of an exit file before the keeper starts.
func EmptyExit() []byte {
	return []byte("live 000 0000000000.000000000 00000000000000000000\n")
}

// ParseExit returns what the content of an exit file says. It is not ok when the content is no such line, as it may be
// on a disk that was full when the file was made. While a keeper writes, a reader may see a count of dropped bytes that
// is partly the new one; all else is consistent.
func ParseExit(b []byte) (s Status, ok bool) {
	if len(b) < lineSize || b[4] != ' ' || b[secColumn-1] != ' ' || b[nanoColumn-1] != '.' || b[countColumn-1] != ' ' ||
		b[lineSize-1] != '\n' {
		return Status{}, false
	}
	code, ok1 := digits(b[codeColumn : secColumn-1])
	sec, ok2 := digits(b[secColumn : nanoColumn-1])
	nano, ok3 := digits(b[nanoColumn : countColumn-1])
	dropped, ok4 := digits(b[countColumn : lineSize-1])
	if !ok1 || !ok2 || !ok3 || !ok4 || code > 255 {
		return Status{}, false
	}
	switch string(b[:4]) {
	case "live":
		return Status{Dropped: dropped}, true
	case "exit":
		return Status{Ended: true, Code: int(code), At: time.Unix(int64(sec), int64(nano)), Dropped: dropped, Events: string(b[lineSize:])}, true
	default:
		return Status{}, false
	}
}

// digits parses a number of decimal digits alone.
func digits(b []byte) (uint64, bool) {
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	return n, err == nil
}
