package launch

import (
	"errors"
	"fmt"
	"strings"
)

// note tells the user what is no fallback.
func (c *compiler) note(format string, args ...any) {
	c.Notes = append(c.Notes, fmt.Sprintf(format, args...))
}

// fallBack announces what the container has less than was asked for, a line each. A fallback may narrow what the container
// may do, and never widens it.
func (c *compiler) fallBack(texts ...string) {
	c.Notes = append(c.Notes, texts...)
	c.fallen = append(c.fallen, texts...)
}

func (c *compiler) fallBackf(format string, args ...any) { c.fallBack(fmt.Sprintf(format, args...)) }

// noteRoot tells the machine's root what he gives away.
func (c *compiler) noteRoot() {
	if outside, mapped := c.IDs.Maps.HostUID(0); c.host.Caller.HostRoot() && mapped && outside == 0 {
		c.note("rl-run needs no root: as you are root, so is the container's root, to every file that it sees; call it as a plain user")
	}
}

// strict turns the fallbacks into an error, where that was asked for.
func (c *compiler) strict() error {
	if !c.spec.Strict || len(c.fallen) == 0 {
		return nil
	}
	return hinted(errors.New("--strict: "+strings.Join(c.fallen, "; ")), "rl-doctor says what this machine lacks, and the line that mends it")
}

// outerProc says what the outer /proc shows and lacks.
func outerProc(nest bool) string {
	text := "a part of the outer /proc is masked: the container gets that one, read-only. " +
		"It lists the outer processes; /proc/self works, and the container's own numbers lead nowhere in it"
	if nest {
		return strings.Replace(text, "that one, read-only", "that one, writable for --nest", 1)
	}
	return text
}
