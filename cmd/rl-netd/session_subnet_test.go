package main

import (
	"net/netip"
	"strings"
	"testing"
)

func TestChooseSubnet(t *testing.T) {
	taken := func(subnets ...string) (out []subnetOwner) {
		for _, s := range subnets {
			out = append(out, subnetOwner{netip.MustParsePrefix(s), "somebody"})
		}
		return out
	}
	for _, c := range []struct {
		asked string
		bits  int
		taken []subnetOwner
		want  string // or what the error says
	}{
		{"", 24, nil, "10.231.0.0/24"},
		{"", 22, taken("10.231.0.0/24"), "10.231.4.0/22"},
		{"", 24, taken("10.231.0.0/22", "10.231.4.0/24", "10.231.5.128/25"), "10.231.6.0/24"},
		{"", 24, taken("10.0.0.0/8"), "172.29.0.0/24"},
		{"", 24, taken("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"), "no subnet of /24 is free"},
		{"192.0.2.0/28", 24, taken("192.0.2.16/28"), "192.0.2.0/28"},
		{"192.0.2.0/28", 24, taken("192.0.2.0/24"), "overlaps 192.0.2.0/24 of somebody (one that is free is taken without --subnet)"},
		{"192.0.2.0/8", 24, nil, "want"},
	} {
		var asked netip.Prefix
		if c.asked != "" {
			asked = netip.MustParsePrefix(c.asked)
		}
		got, err := chooseSubnet(asked, c.bits, c.taken)
		if err == nil && got.String() != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q /%d beside %v: %v, %v; want %s", c.asked, c.bits, c.taken, got, err, c.want)
		}
	}
}
