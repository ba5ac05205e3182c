package usernet

import "net/netip"

// Word is why a link is refused. There are no others, and none of them tells what is
// missing from what is forbidden.
type Word string

// The words, in the order of what is looked at.
const (
	Usage     Word = "usage"     // the arguments are not a request
	Privilege Word = "privilege" // rl-veth has no CAP_NET_ADMIN: not installed as it must be
	Namespace Word = "namespace" // descriptor 3 is no net namespace that is the caller's own
	Forbidden Word = "forbidden" // the policy does not grant it, or there is no policy or bridge
	Quota     Word = "quota"     // the caller has as many links as he may have
	Taken     Word = "taken"     // the address is in use, or all of the pool are
	Clash     Word = "clash"     // a route of the host leads there
	Exists    Word = "exists"    // the container has an interface of that name
	Filter    Word = "filter"    // the kernel cannot filter
	System    Word = "system"    // the kernel refused for another reason
)

// Words are all of them. The exit code of rl-veth is 2 for the first, 3 for the next, …
func Words() []Word {
	return []Word{Usage, Privilege, Namespace, Forbidden, Quota, Taken, Clash, Exists, Filter, System}
}

// Refusal is the error of a request that is not granted.
type Refusal struct {
	Word Word

	// For Clash: the host's route and its interface, "" where it has none. All users can
	// read the host's routes.
	Route     netip.Prefix
	Interface string
}

func (r *Refusal) Error() string {
	if r.Word == Clash {
		s := "clash " + r.Route.String()
		if r.Interface != "" {
			s += " " + r.Interface
		}
		return s
	}
	return string(r.Word)
}

func refuse(w Word) error { return &Refusal{Word: w} }
