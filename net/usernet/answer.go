package usernet

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Inner is the name of the container's end as rl-veth makes it, to be renamed inside.
const Inner = "rlv0"

// Answer is a link that was made.
type Answer struct {
	Name  string // of the host's end
	Index int    // of the host's end, in the host's net namespace

	Inner      string  // the name of the container's end, down and without an address
	InnerIndex int     // its index, in the container's net namespace
	MAC        [6]byte // of the container's end; the filter lets no other pass
	MTU        int     // of the container's end

	IP       netip.Prefix // the container's address, to be set inside; the filter lets no other pass
	Gateway  netip.Addr   // the host's end, or the bridge's address; zero: the bridge has none
	IP6      netip.Prefix // the same for IPv6; zero: none was granted
	Gateway6 netip.Addr
}

// ErrAnswer is the error of an answer that cannot be read.
var ErrAnswer = errors.New("not an answer of rl-veth")

// Format is the answer as the one line that rl-veth prints.
func (a Answer) Format() string {
	s := fmt.Sprintf("ok ifname=%s ifindex=%d inner=%s innerindex=%d mac=%s mtu=%d ip=%s",
		a.Name, a.Index, a.Inner, a.InnerIndex, FormatMAC(a.MAC), a.MTU, a.IP)
	if a.Gateway.IsValid() {
		s += " gateway=" + a.Gateway.String()
	}
	if a.IP6.IsValid() {
		s += " ip6=" + a.IP6.String()
	}
	if a.Gateway6.IsValid() {
		s += " gateway6=" + a.Gateway6.String()
	}
	return s + "\n"
}

// FormatRefusal is a refusal as the one line that rl-veth prints.
func FormatRefusal(r *Refusal) string { return "refused " + r.Error() + "\n" }

// ParseAnswer reads the line. A refusal comes back as a *Refusal, what is neither as
// ErrAnswer. Keys that are not known are passed over.
func ParseAnswer(line string) (Answer, error) {
	line, ok := strings.CutSuffix(line, "\n")
	if !ok || strings.Contains(line, "\n") {
		return Answer{}, ErrAnswer
	}
	if rest, refused := strings.CutPrefix(line, "refused "); refused {
		return Answer{}, parseRefusal(strings.Fields(rest))
	}
	rest, ok := strings.CutPrefix(line, "ok ")
	if !ok {
		return Answer{}, ErrAnswer
	}
	var a Answer
	for field := range strings.FieldsSeq(rest) {
		key, value, _ := strings.Cut(field, "=")
		if a.set(key, value) != nil {
			return Answer{}, ErrAnswer
		}
	}
	if a.Name == "" || a.Inner == "" || a.Index <= 0 || a.InnerIndex <= 0 || !a.IP.IsValid() || a.MTU <= 0 {
		return Answer{}, ErrAnswer
	}
	return a, nil
}

func (a *Answer) set(key, value string) (err error) {
	switch key {
	case "ifname":
		a.Name = value
	case "ifindex":
		a.Index, err = strconv.Atoi(value)
	case "inner":
		a.Inner = value
	case "innerindex":
		a.InnerIndex, err = strconv.Atoi(value)
	case "mac":
		var mac []byte
		if mac, err = hex.DecodeString(strings.ReplaceAll(value, ":", "")); err == nil && copy(a.MAC[:], mac) != len(mac) {
			err = ErrAnswer
		}
	case "mtu":
		a.MTU, err = strconv.Atoi(value)
	case "ip":
		a.IP, err = netip.ParsePrefix(value)
	case "gateway":
		a.Gateway, err = netip.ParseAddr(value)
	case "ip6":
		a.IP6, err = netip.ParsePrefix(value)
	case "gateway6":
		a.Gateway6, err = netip.ParseAddr(value)
	}
	return err
}

func parseRefusal(fields []string) error {
	if len(fields) == 0 {
		return ErrAnswer
	}
	for _, w := range Words() {
		if fields[0] != string(w) {
			continue
		}
		r := &Refusal{Word: w}
		if w == Clash {
			if len(fields) < 2 {
				return ErrAnswer
			}
			route, err := netip.ParsePrefix(fields[1])
			if err != nil {
				return ErrAnswer
			}
			r.Route, r.Interface = route, strings.Join(fields[2:], " ")
		}
		return r
	}
	return ErrAnswer
}

// FormatMAC is a MAC as it is commonly written.
func FormatMAC(mac [6]byte) string {
	return fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5])
}
