package launch

import (
	"fmt"
	"io"
	"time"

	"github.com/rl-run/rl-run/plan"
)

// WriteTimes writes how long each step took that an actor has done: from its
// begin to the begin of the same actor's next one.
func (c *Container) WriteTimes(to io.Writer) {
	entries := c.Plan.Entries
	for i, e := range entries {
		began := c.began(i)
		if began == 0 {
			continue
		}
		took := "last"
		for j := i + 1; j < len(entries); j++ {
			if entries[j].Actor == e.Actor && c.began(j) != 0 {
				took = fmt.Sprintf("%d µs", (c.began(j) - began).Microseconds())
				break
			}
		}
		fmt.Fprintf(to, "rl-run: time: %3d %-7s %9s  %s\n", i+1, e.Actor, took, e.Step)
	}
}

func (c *Container) began(i int) time.Duration {
	if c.Plan.Entries[i].Actor == plan.Parent {
		return c.times[i]
	}
	return c.Child.Began(i)
}
