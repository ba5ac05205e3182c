package launch

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rl-run/rl-run/plan"
)

// note tells the user what is no fallback.
func (c *compiler) note(text string) { c.Notes = append(c.Notes, text) }

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

// otherStart is for where init cannot be started in the usual manner.
func (c *compiler) otherStart() {
	if !c.host.Facts.Clone3 {
		c.fallBack("clone3(2) is refused here: processes are made by clone(2)")
	}
	if !c.host.Facts.OwnRoot && c.host.Leavable {
		c.note("this is a chroot: its root becomes that of a mount namespace first, or no container could start")
		c.parent(plan.LeaveChroot{}, "in a chroot the kernel makes no user namespace")
	}
}

// name is that of a UTS namespace of the container's own.
func (c *compiler) name() string {
	if !c.host.Facts.OwnName {
		return c.host.Name
	}
	return hostname(c.spec, c.host.Rootfs.Path)
}

func (c *compiler) setName() error {
	c.Hostname = c.name()
	switch {
	case c.host.Facts.OwnName:
		c.inInit(plan.SetHostname{Name: c.Hostname}, "")
	case c.spec.Hostname != "":
		return hinted(fmt.Errorf("--hostname %s: what runs this refuses sethostname(2)", c.spec.Hostname), "leave it out: the container keeps the outer name")
	default:
		c.fallBackf("no host name can be set here: the container keeps the outer one, %s", c.Hostname)
	}
	return nil
}

// keptGroups announces that the caller's supplementary groups stay with the container.
func (c *compiler) keptGroups() {
	var list []string
	for _, id := range c.host.Caller.Groups {
		if text := fmt.Sprint(id); id != c.host.Caller.GID && !slices.Contains(list, text) { // those without an id here look alike
			list = append(list, text)
		}
	}
	if len(list) > 0 {
		c.fallBackf("the caller's supplementary groups (%s) stay with the container: with a single id the kernel lets none be dropped", strings.Join(list, ", "))
	}
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
