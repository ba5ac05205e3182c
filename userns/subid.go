package userns

import (
	"bytes"
	"fmt"
	"math"
)

// maxRanges bounds the ranges of one owner: a map has no more extents than that.
const maxRanges = MaxExtents

// parseSubIDs reads the text of /etc/subuid or /etc/subgid, lines of
// OWNER:START:COUNT (subuid(5)), and returns the ranges whose owner is name or
// the decimal uid, in the order of the file. problem is "" or says, for the first
// of the owner's lines that cannot be used, which and why; such lines, and any
// line of another owner, are passed over as newuidmap passes over them.
//
// rootlesskit's idtools reads these files too and is not used for it: it opens
// the fixed names in blocking mode without a bound, so that a FIFO there hangs
// the start; it gives up on the whole file for one malformed line of somebody
// else; and it takes negative, overlapping and overflowing ranges. On a file
// without such lines both agree, which a test holds. Its companion dynidtools
// starts getsubids four times in a row without a time limit and logs to stderr.
func parseSubIDs(text []byte, name, uid string) (ranges []Range, problem string) {
	complain := func(line int, format string, args ...any) {
		if problem == "" {
			problem = fmt.Sprintf("line %d: ", line) + fmt.Sprintf(format, args...)
		}
	}
	for line := 1; len(text) > 0; line++ {
		var row []byte
		row, text = cutLine(text)
		owner, fields, ok := bytes.Cut(trimSpace(row), []byte{':'})
		if len(owner) == 0 || owner[0] == '#' {
			continue
		}
		if string(owner) != uid && (name == "" || string(owner) != name) {
			continue
		}
		startField, countField, ok2 := bytes.Cut(fields, []byte{':'})
		start, ok3 := parseCanonical(startField)
		count, ok4 := parseCanonical(countField)
		switch {
		case !ok || !ok2 || !ok3 || !ok4:
			complain(line, "want OWNER:START:COUNT in decimal")
			continue
		case count == 0:
			complain(line, "a count of 0 grants nothing")
			continue
		case start >= noID || count > noID-start:
			complain(line, "%d ids from %d pass the last id 4294967294", count, start)
			continue
		}
		if len(ranges) == maxRanges {
			complain(line, "more than %d ranges, the rest is left out", maxRanges)
			break
		}
		ranges = append(ranges, Range{uint32(start), uint32(count)})
	}
	return ranges, problem
}

// parseCanonical reads a decimal number without sign or leading zero. newuidmap
// reads a leading 0 as octal or hexadecimal (getulong in shadow's library), so
// such a number would mean one range here and another there.
func parseCanonical(field []byte) (uint64, bool) {
	if len(field) == 0 || len(field) > 1 && field[0] == '0' {
		return 0, false
	}
	var n uint64
	for _, c := range field {
		if c < '0' || c > '9' || n > (math.MaxUint64-9)/10 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

func trimSpace(b []byte) []byte {
	b = trimBlanks(b)
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t' || b[len(b)-1] == '\r') {
		b = b[:len(b)-1]
	}
	return b
}

// parsePasswd finds the login name of uid in the text of /etc/passwd, "" where
// there is none. The first line wins, as in getpwuid(3).
func parsePasswd(text []byte, uid string) string {
	for len(text) > 0 {
		var row []byte
		row, text = cutLine(text)
		name, rest, ok := bytes.Cut(row, []byte{':'})
		if !ok || len(name) == 0 || name[0] == '#' || name[0] == '+' || name[0] == '-' {
			continue
		}
		if _, rest, ok = bytes.Cut(rest, []byte{':'}); !ok {
			continue
		}
		if field, _, ok := bytes.Cut(rest, []byte{':'}); ok && string(field) == uid {
			return string(name)
		}
	}
	return ""
}

// subidSource is the source that the subid: line of nsswitch.conf names, "files"
// where it names none. Only the first word of the first such line counts: unlike
// other databases this one has a single source (nss_init in shadow's library).
func subidSource(text []byte) string {
	const key = "subid:"
	for len(text) > 0 {
		var row []byte
		row, text = cutLine(text)
		if len(row) < len(key) || !bytes.EqualFold(row[:len(key)], []byte(key)) {
			continue
		}
		if word := firstWord(row[len(key):]); word != "" {
			return word
		}
	}
	return "files"
}

func firstWord(b []byte) string {
	b = trimSpace(b)
	if i := bytes.IndexAny(b, " \t"); i >= 0 {
		b = b[:i]
	}
	return string(b)
}

// parseGetsubids reads what getsubids(1) prints, lines of "N: OWNER START COUNT".
// Warnings of the source stand between them and are passed over.
func parseGetsubids(text []byte) []Range {
	var ranges []Range
	for len(text) > 0 && len(ranges) < maxRanges {
		var row []byte
		row, text = cutLine(text)
		index, rest, ok := bytes.Cut(row, []byte{':'})
		if _, number := parseCanonical(index); !ok || !number {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) != 3 {
			continue
		}
		start, ok1 := parseCanonical(fields[1])
		count, ok2 := parseCanonical(fields[2])
		if !ok1 || !ok2 || count == 0 || start >= noID || count > noID-start {
			continue
		}
		ranges = append(ranges, Range{uint32(start), uint32(count)})
	}
	return ranges
}
