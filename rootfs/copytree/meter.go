package copytree

import (
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// Meter shows the progress of a copy in one line of a terminal, which it
// overwrites, and which is gone at the end. Where the output is no terminal it
// is silent.
//
// It is not safe for use by several goroutines; Copy has one call it.
type Meter struct {
	out   *os.File
	label string
	shown int // columns taken by the line on the screen; 0 where there is none
}

// NewMeter returns a meter that writes to out, most often os.Stderr. The label
// begins the line: "copy ./debian".
func NewMeter(out *os.File, label string) *Meter {
	if _, err := unix.IoctlGetTermios(int(out.Fd()), unix.TCGETS); err != nil {
		return &Meter{}
	}
	return &Meter{out: out, label: printable(label)}
}

// Progress shows that done of total bytes are copied. It is made to be
// Options.Progress. A copy that is over before it showed anything stays silent.
func (m *Meter) Progress(done, total int64) {
	if m.out == nil || done >= total && m.shown == 0 {
		return
	}
	percent := int64(100)
	if total > 0 {
		percent = int64(float64(done) / float64(total) * 100)
	}
	m.show(m.label + ": " + strconv.FormatInt(percent, 10) + "% of " + humanBytes(total))
}

// Close takes the line off the screen. The file stays open.
func (m *Meter) Close() {
	if m.shown > 0 {
		m.show("")
	}
}

// show replaces the line. Blanks erase what it was longer: that needs no
// knowledge of the terminal.
func (m *Meter) show(line string) {
	line = cut(line, m.width())
	shown := utf8.RuneCountInString(line)
	s := "\r" + line
	if rest := m.shown - shown; rest > 0 {
		s += strings.Repeat(" ", rest)
	}
	if shown == 0 {
		s += "\r"
	}
	// A terminal that went away is no reason to stop copying.
	_, _ = m.out.WriteString(s)
	m.shown = shown
}

// width returns the columns that a line may take. The last one stays free: some
// terminals wrap as soon as it is written.
func (m *Meter) width() int {
	if ws, err := unix.IoctlGetWinsize(int(m.out.Fd()), unix.TIOCGWINSZ); err == nil && ws.Col > 1 {
		return int(ws.Col) - 1
	}
	return 79
}

// cut shortens a line at its front, where the label is, to the given columns,
// of which it takes every rune for one.
func cut(line string, columns int) string {
	for n := utf8.RuneCountInString(line); n > columns; n-- {
		_, size := utf8.DecodeRuneInString(line)
		line = line[size:]
	}
	return line
}
