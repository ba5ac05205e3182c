package launch

import (
	"errors"
	"fmt"
	"strings"
)

// fallBack announces what the container has less than was asked for, a line each. A fallback may narrow what the container
// may do, and never widens it.
func (c *compiler) fallBack(texts ...string) {
	c.Notes = append(c.Notes, texts...)
	c.fallen = append(c.fallen, texts...)
}

func (c *compiler) fallBackf(format string, args ...any) { c.fallBack(fmt.Sprintf(format, args...)) }

// strict turns the fallbacks into an error, where that was asked for.
func (c *compiler) strict() error {
	if !c.spec.Strict || len(c.fallen) == 0 {
		return nil
	}
	return hinted(errors.New("--strict: "+strings.Join(c.fallen, "; ")), "rl-doctor says what this machine lacks, and the line that mends it")
}
