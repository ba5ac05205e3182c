package usermode

import (
	"fmt"
	"net/netip"
	"slices"
)

// Kind names a driver, or a wish for one.
type Kind int

// The kinds. In a Request, Auto leaves the choice to Choose; a Driver is never Auto.
const (
	Auto Kind = iota
	None
	Pasta
	Slirp4netns
)

// String returns the word of --net.
func (k Kind) String() string { return [...]string{"auto", "none", "pasta", "slirp4netns"}[k] }

// Request is what a container's network shall be.
type Request struct {
	// Kind is Auto, Pasta or Slirp4netns.
	Kind Kind
	// Interface is the name that the tap device gets, eth0 when empty.
	Interface string
	// MTU is that of the tap device in bytes, 1280 to 65520, or 0 for the latter.
	MTU int
	// Subnet is the IPv4 subnet of the tap device, /25 or larger. The zero value picks one that no route of the host
	// overlaps.
	Subnet netip.Prefix
	// NoDNS leaves out the forwarder of names.
	NoDNS bool
	// Without are drivers that were tried and ended at once.
	Without []Kind
}

// MaxMTU is the largest MTU that all drivers take, in bytes.
const MaxMTU = 65520

// Error says why there is no driver, and what mends that.
type Error struct {
	Kind  Kind
	Cause string
	// Hint is a line for a person, or empty.
	Hint string
}

func (e *Error) Error() string { return fmt.Sprintf("start network %v: %s", e.Kind, e.Cause) }

// Choose picks a driver and what it shall do. What a driver in Request.Kind cannot have is an *Error. For Auto there is no
// error: a Driver of the kind None and a note that says why take its place. Notes are for a person, one line each.
func Choose(h Host, r Request) (Driver, []string, error) {
	kind, notes, err := choose(h, r)
	if err != nil {
		if r.Kind != Auto {
			return Driver{Kind: None}, nil, err
		}
		return Driver{Kind: None}, append(notes, describe(err)), nil
	}
	d := Driver{
		Kind: kind, Path: h.Pasta, Interface: r.Interface, MTU: r.MTU, Subnet: r.Subnet,
		isNew: h.PastaIsNew, stays: h.PastaStays, hasNames: h.SlirpHasNames, resolver: h.Resolver, outward4: h.Outward4, outward6: h.Outward6,
	}
	if kind == Slirp4netns {
		d.Path = h.Slirp4netns
	}
	if d.Interface == "" {
		d.Interface = "eth0"
	}
	if d.MTU == 0 {
		d.MTU = MaxMTU
	}
	if !d.Subnet.IsValid() {
		d.Subnet = freeSubnet(h.Routes)
	}
	d.families(!r.NoDNS)
	return d, notes, nil
}

func describe(e *Error) string {
	if e.Hint == "" {
		return "no network: " + e.Cause
	}
	return "no network: " + e.Cause + "; " + e.Hint
}

const (
	oldSlirp   = "slirp4netns is of before 0.4.0 (July 2019)"
	newerSlirp = "install a newer slirp4netns, or a newer passt"
)

func choose(h Host, r Request) (Kind, []string, *Error) {
	if cause, hint := h.Tun.lack(); cause != "" {
		return None, nil, &Error{r.Kind, cause, hint}
	}
	pasta := h.Pasta != "" && !slices.Contains(r.Without, Pasta)
	slirp := h.Slirp4netns != "" && !h.SlirpIsOld && !slices.Contains(r.Without, Slirp4netns)
	online := h.Outward4.IsValid() || h.Outward6.IsValid()
	switch {
	case r.Kind == Pasta && h.Pasta == "":
		return None, nil, &Error{r.Kind, "pasta is not installed", "sudo apt-get install passt"}
	case r.Kind == Slirp4netns && h.Slirp4netns == "":
		return None, nil, &Error{r.Kind, "slirp4netns is not installed", "sudo apt-get install slirp4netns"}
	case r.Kind == Slirp4netns && h.SlirpIsOld:
		return None, nil, &Error{r.Kind, oldSlirp, newerSlirp}
	case r.Kind == Pasta && !online && !h.PastaIsNew:
		return None, nil, &Error{r.Kind, "the host has no default route, without which this pasta does not start", "use --net=none or --net=slirp4netns"}
	case r.Kind != Auto && pasta && r.Kind == Pasta, r.Kind != Auto && slirp && r.Kind == Slirp4netns:
		return r.Kind, nil, nil
	case r.Kind != Auto:
		return None, nil, &Error{r.Kind, "it ended before it was ready", ""}
	case pasta && h.PastaIsNew && online:
		return Pasta, nil, nil
	case slirp:
		// slirp4netns does not ask for the host's routes, so that it serves a host that goes online later.
		return Slirp4netns, nil, nil
	case pasta && h.PastaIsNew:
		// Since November 2024 it starts without a route.
		return Pasta, nil, nil
	case pasta && online && h.SlirpIsOld:
		return Pasta, []string{"pasta is of before August 2024, uploads may stall, and " + oldSlirp + "; install a newer one of either"}, nil
	case pasta && online:
		return Pasta, []string{"pasta is of before August 2024, uploads may stall; install slirp4netns or a newer passt"}, nil
	case pasta && h.SlirpIsOld:
		return None, nil, &Error{r.Kind, "the host has no default route, without which this pasta does not start, and " + oldSlirp, newerSlirp}
	case pasta:
		return None, nil, &Error{r.Kind, "the host has no default route, without which this pasta does not start", "install slirp4netns"}
	case len(r.Without) != 0:
		return None, nil, &Error{r.Kind, fmt.Sprintf("%v ended before it was ready", r.Without[len(r.Without)-1]), ""}
	case h.SlirpIsOld:
		return None, nil, &Error{r.Kind, oldSlirp + ", and pasta is not installed", "sudo apt-get install passt, or a newer slirp4netns"}
	}
	return None, nil, &Error{r.Kind, "neither pasta nor slirp4netns is installed", "sudo apt-get install passt slirp4netns"}
}

func (t Tun) lack() (cause, hint string) {
	switch t {
	case TunUsable:
	case TunMissing:
		return tunPath + " is missing", "on the host: sudo modprobe tun; in a container: start that with --device " + tunPath
	case TunForbidden:
		return tunPath + ": permission denied", "sudo chmod 0666 " + tunPath
	case TunNoModule:
		return tunPath + ": the kernel has no tun device", "sudo modprobe tun"
	}
	return cause, hint
}

// subnets are tried in turn. The first is that which slirp4netns has by itself.
var subnets = [...]netip.Prefix{
	netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 2, 0}), 24),
	netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 31, 251, 0}), 24),
	netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 168, 251, 0}), 24),
	netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 251, 251, 0}), 24),
}

// freeSubnet returns the first subnet that hides nothing of what the host can reach, or the first.
func freeSubnet(routes []netip.Prefix) netip.Prefix {
	for _, s := range subnets {
		if !slices.ContainsFunc(routes, s.Overlaps) {
			return s
		}
	}
	return subnets[0]
}
