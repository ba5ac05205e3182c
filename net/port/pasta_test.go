package port

import (
	"strings"
	"testing"
)

func TestPastaArgs(t *testing.T) {
	for _, c := range []struct{ values, want string }{
		{"", "-t none -u none -T none -U none"},
		{"8080:80", "-t 8080:80 -u none -T none -U none"},
		{"127.0.0.1:8080-8082:80-82 53:53/udp", "-t 127.0.0.1/8080-8082:80-82 -u 53:53 -T none -U none"},
		{"[::1]:1:2/udp [fe80::1%eth0]:3:4/udp", "-u ::1/1:2 -u fe80::1%eth0/3:4 -t none -T none -U none"},
	} {
		args, err := PastaArgs(mustParse(t, strings.Fields(c.values)...))
		if got := strings.Join(args, " "); err != nil || got != c.want {
			t.Errorf("-p %s: %s, %v; want %s", c.values, got, err, c.want)
		}
	}
	if args, err := PastaArgs(mustParse(t, ":80")); err == nil {
		t.Errorf("free port: %q", args)
	}
}
