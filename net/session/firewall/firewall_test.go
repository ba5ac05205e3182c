package firewall

import (
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
)

const inside = "RLRUN_FIREWALL_TEST_INSIDE"

// The rules are made in namespaces of their own; what they let pass is tried with
// real nodes in test/session.
func TestSets(t *testing.T) {
	if os.Getenv(inside) == "" {
		c := exec.Command("/proc/self/exe", "-test.run=^TestSets$")
		c.Env = append(os.Environ(), inside+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET,
			UidMappings: []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}},
		}
		if out, err := c.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	runtime.LockOSThread()
	f, err := New()
	if err != nil {
		t.Fatal(err)
	}
	n := session.Network{
		Name: "a", Index: 1, Bridge: session.BridgeName(1), MTU: session.MTU,
		Subnet: netip.MustParsePrefix("10.9.0.0/20"), Subnet6: netip.MustParsePrefix("fd00::/64"),
	}
	// the largest that there may be, twice: what is removed can be added again
	for range 2 {
		start := time.Now()
		if err := f.Add(n); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("a network of the largest size takes %v", took)
		}
		for set, want := range map[string]int{"hardware": n.Ports(), "pair4": n.Ports(), "pair6": 2 * n.Ports()} {
			s, err := f.conn.GetSetByName(f.hardware.Table, set)
			if err != nil {
				t.Fatal(err)
			}
			elements, err := f.conn.GetSetElements(s)
			if err != nil || len(elements) != want {
				t.Errorf("set %s: %d elements, want %d; %v", set, len(elements), want, err)
			}
		}
		if err := f.Remove(n); err != nil {
			t.Fatal(err)
		}
	}
	if elements, err := f.conn.GetSetElements(f.pair4); err != nil || len(elements) != 0 {
		t.Errorf("%d elements are left; %v", len(elements), err)
	}
	n.Internal, n.Subnet6 = true, netip.Prefix{}
	if err := f.Add(n); err != nil {
		t.Fatal(err)
	}
	if elements, err := f.conn.GetSetElements(f.outward); err != nil || len(elements) != 0 {
		t.Errorf("an internal network is outward; %v", err)
	}
}
