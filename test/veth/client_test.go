package veth

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/usernet"
	netveth "github.com/rl-run/rl-run/net/veth"
)

// clientEnv makes the test program a caller of package net/veth, with descriptor 3.
const clientEnv = "RLRUN_VETH_CLIENT"

// errand is what it does, and report what came of it.
type (
	errand struct {
		Beside string // for Find, unless there is a Helper
		Helper netveth.Helper
		Pid    int
		Args   []string
		User   string
		Passwd []byte
		UID    uint32
	}
	report struct {
		Helper netveth.Helper
		Answer string
		Error  string
		Hint   string
	}
)

func client(text string) error {
	var e errand
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	var r report
	request, err := usernet.ParseArgs(e.Args)
	r.Helper = e.Helper
	if err == nil && e.Helper.Path == "" {
		r.Helper, err = netveth.Find(e.Beside)
	}
	if err == nil {
		var a usernet.Answer
		if a, err = r.Helper.Make(netveth.Container{NetNS: 3, Pid: e.Pid}, request); err == nil {
			r.Answer = a.Format()
		}
	}
	if err != nil {
		r.Error = err.Error()
		r.Hint = netveth.Hint(err, usernet.Caller{UID: e.UID, Groups: []uint32{e.UID}, Passwd: e.Passwd}, e.User, request)
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// send runs an errand as a user of the host.
func send(t *testing.T, uid uint32, c container, e errand) report {
	t.Helper()
	e.UID, e.Passwd, e.Pid = uid, []byte(passwd), c.pid
	e.User = map[uint32]string{alice: "alice", bob: "bob", carol: "carol"}[uid]
	text, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	must(t, "cp", self, "/mnt/client")
	must(t, "chmod", "755", "/mnt/client")
	cmd := command(as(uid), c.net, "/mnt/client")
	cmd.Dir = "/"
	cmd.Env = []string{clientEnv + "=" + string(text), "PATH=/usr/bin:/bin"}
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("client: %v: %s", err, complaint.String())
	}
	var r report
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestClient(t *testing.T) {
	host(t, thePolicy)
	c := newContainer(t, alice, 1)
	r := send(t, alice, c, errand{Beside: "/mnt", Args: []string{"ip=192.168.47.12/24", "name=x"}})
	a, err := usernet.ParseAnswer(r.Answer)
	if err != nil || r.Helper.Path != "/mnt/rl-veth" {
		t.Fatalf("%+v", r)
	}
	c.configure(a)
	talk(t, c, a.IP.Addr(), true)
}

// rl-veth says one word, and the client what to do about it.
func TestClientHints(t *testing.T) {
	host(t, thePolicy)
	bridge(t)
	c := newContainer(t, bob, 1)
	rl := netveth.Helper{Path: "/mnt/rl-veth"}
	must(t, "cp", rlVeth, "/mnt/plain")
	must(t, "chmod", "755", "/mnt/plain")
	for _, test := range []struct {
		name        string
		prepare     func()
		errand      errand
		error, hint string
	}{
		{"no line", nil, errand{Helper: rl, Args: []string{"bridge=br0"}}, "does not grant it", "add a line to /etc/rl-run/usernet: bob veth br0 10"},
		{"outside", nil, errand{Helper: rl, Args: []string{"ip=10.0.0.7/24"}}, "does not grant it", "addresses of 192.168.47.0/24 fd00:47::/64"},
		{"own capability", nil, errand{Helper: netveth.Helper{Path: "/mnt/plain"}}, "no CAP_NET_ADMIN", "setcap cap_net_admin=ep /mnt/plain"},
		{"not a program", nil, errand{Helper: netveth.Helper{Path: "/bin/true"}}, "not an answer of rl-veth", ""},
		{
			"a clash", func() { must(t, "ip", "route", "add", "192.168.47.0/25", "dev", "lan1") },
			errand{Helper: rl, Args: []string{"ip=192.168.47.12/24"}},
			`route to 192.168.47.0/25 dev "lan1"`, "another net",
		},
		{"an error in the policy", func() { write(t, "nonsense\n") }, errand{Helper: rl}, "does not grant it", "line 1"},
		{"a policy of others", func() { must(t, "chown", "bob", "/etc/rl-run/usernet") }, errand{Helper: rl}, "does not grant it", "chown root:"},
		{"no policy", func() { must(t, "rm", "/etc/rl-run/usernet") }, errand{Helper: rl}, "does not grant it", "make install-veth"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.prepare != nil {
				test.prepare()
			}
			r := send(t, bob, c, test.errand)
			if r.Answer != "" || !strings.Contains(r.Error, test.error) || !strings.Contains(r.Hint, test.hint) || strings.Contains(r.Error, "\n") {
				t.Errorf("%+v, want %q and %q", r, test.error, test.hint)
			}
		})
	}
}

// Where there is no rl-veth, lxc-user-nic makes the pair.
func TestLXC(t *testing.T) {
	host(t, thePolicy)
	bridge(t)
	lxc := "/usr/libexec/lxc/lxc-user-nic"
	if _, err := os.Stat(lxc); err != nil {
		lxc = trial.NeedTool(t, "lxc-user-nic")
	}
	// Setuid root counts for this user namespace's root where it is his file.
	for _, line := range []string{
		"cp " + lxc + " /mnt/lxc-user-nic", "chown root:root /mnt/lxc-user-nic", "chmod 4755 /mnt/lxc-user-nic",
		"mkdir -p /etc/lxc", "mount -t tmpfs tmpfs /run",
		"mount -t sysfs sysfs /sys", // in which it looks whether br0 is a bridge
	} {
		words := strings.Fields(line)
		must(t, words[0], words[1:]...)
	}
	t.Cleanup(func() { must(t, "umount", "/run", "/sys"); must(t, "rm", "-r", "/etc/lxc", "/mnt/lxc-user-nic") })
	if err := os.WriteFile("/etc/lxc/lxc-usernet", []byte("alice veth br0 2\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	helper := netveth.Helper{Path: "/mnt/lxc-user-nic", LXC: true}
	c := newContainer(t, alice, 1)
	r := send(t, alice, c, errand{Helper: helper, Args: []string{"bridge=br0", "ip=10.47.0.12/24", "name=x"}})
	a, err := usernet.ParseAnswer(r.Answer)
	if err != nil {
		t.Fatalf("%+v", r)
	}
	if a.Gateway.String() != "10.47.0.1" || a.Inner != usernet.Inner || !strings.HasPrefix(a.Name, "veth") {
		t.Errorf("%+v", a)
	}
	c.enter(func() {
		if show := must(t, "ip", "-o", "link", "show", a.Inner); !strings.HasPrefix(show, strconv.Itoa(a.InnerIndex)+": ") {
			t.Errorf("inside there is %s, want the index %d", show, a.InnerIndex)
		}
	})
	c.configure(a)
	talk(t, c, a.IP.Addr(), true)

	for args, want := range map[string]string{
		"bridge=br0":                                "--veth-ip is needed",
		"bridge=br0 ip=10.47.0.1/24":                "address of br0 itself",
		"bridge=br0 ip=10.48.0.7/24":                "no address in 10.48.0.0/24",
		"bridge=br1 ip=10.48.0.7/24":                "br1",
		"host=192.168.47.11/24 ip=192.168.47.12/24": "lxcbr0",
	} {
		if r := send(t, alice, c, errand{Helper: helper, Args: strings.Fields(args)}); r.Answer != "" || !strings.Contains(r.Error, want) {
			t.Errorf("%s: %+v, want %q", args, r, want)
		}
	}
	other := newContainer(t, bob, 1)
	if r := send(t, bob, other, errand{Helper: helper, Args: []string{"bridge=br0", "ip=10.47.0.13/24"}}); r.Answer != "" || r.Hint == "" {
		t.Errorf("without a line in lxc-usernet: %+v", r)
	}
}

func TestFind(t *testing.T) {
	host(t, thePolicy)
	if h, err := netveth.Find("/mnt"); err != nil || h.Path != "/mnt/rl-veth" || h.LXC {
		t.Errorf("%+v, %v", h, err)
	}
	// A plain user needs one with the capability.
	must(t, "mkdir", "-p", "/mnt/bare")
	must(t, "cp", rlVeth, "/mnt/bare/rl-veth")
	c := newContainer(t, alice, 1)
	r := send(t, alice, c, errand{Beside: "/mnt/bare"})
	if r.Helper.Path == "/mnt/bare/rl-veth" {
		t.Errorf("found one without a capability: %+v", r)
	}
	var missing error = &netveth.MissingError{}
	if hint := netveth.Hint(missing, usernet.Caller{}, "alice", usernet.Request{}); !strings.Contains(hint, "make install-veth") || !strings.Contains(hint, "alice veth lxcbr0") {
		t.Errorf("hint %q", hint)
	}
}
