package cgroup

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// usual are limits of what systemd delegates by itself.
var usual = Limits{Memory: 50 << 20, CPUs: 500_000, Pids: 20}

func lines(p *Placement) string {
	if p == nil {
		return ""
	}
	where := p.Parent
	if p.Way == Scope {
		where = p.Unit + " at " + p.Bus
	}
	s := fmt.Sprintf("%s %s +%s\n", p.Way, where, strings.Join(p.Controllers, " +"))
	for _, set := range p.Settings {
		s += set.File + " = " + set.Value + "\n"
	}
	return s
}

func TestCompile(t *testing.T) {
	const usualSet = "memory.max = 52428800\nmemory.oom.group = 1\nmemory.swap.max = 52428800\ncpu.max = 50000 100000\npids.max = 20\n"
	for _, c := range []struct {
		name   string
		host   fixture
		limits Limits
		want   string
	}{
		{"a login", debian12, usual, "scope rl-run-web.scope at unix:path=/run/user/1000/bus +cpu +memory +pids\n" + usualSet},
		{
			"an address in the environment",
			fixture{files: debian12.files + "/tmp/x:", env: map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/tmp/x,guid=1"}},
			Limits{Pids: 1},
			"scope rl-run-web.scope at unix:path=/tmp/x,guid=1 +pids\npids.max = 1\n",
		},
		{
			"all delegated", fedora,
			Limits{CPUSet: Set{{0, 1}}, BlkioWeight: 500, CPUWeight: 10},
			"scope rl-run-web.scope at unix:path=/run/user/1000/bus +cpu +cpuset +io\n" +
				"cpu.weight = 10\ncpuset.cpus = 0-1\nio.weight = default 4950\n",
		},
		{"swap without limit", debian12, Limits{Memory: 1<<20 + 1, MemorySwap: -1}, "scope rl-run-web.scope at unix:path=/run/user/1000/bus +memory\nmemory.max = 1048576\nmemory.oom.group = 1\n"},
		{"no swap", debian12, Limits{Memory: 1 << 20, MemorySwap: 1 << 20}, "scope rl-run-web.scope at unix:path=/run/user/1000/bus +memory\nmemory.max = 1048576\nmemory.oom.group = 1\nmemory.swap.max = 0\n"},
		{"a service", service, Limits{Memory: 1 << 20, Pids: 5}, "subtree " + own + " +memory +pids\nmemory.max = 1048576\nmemory.oom.group = 1\npids.max = 5\n"},
		{"root with systemd", rootLogin, usual, "scope rl-run-web.scope at unix:path=/run/dbus/system_bus_socket +cpu +memory +pids\n" + usualSet},
		{"root without systemd", alpine, Limits{Pids: 5}, "subtree /sys/fs/cgroup +pids\npids.max = 5\n"},
		{"nothing", hybrid, Limits{Pids: Unlimited}, ""},
	} {
		h := c.host.probe(t, c.limits)
		p, notes, err := Compile(&c.limits, &h, "web", Require)
		if err != nil || lines(p) != c.want || len(notes) != 0 {
			t.Errorf("%s: got\n%s\nwant\n%s\n(%v; %v)", c.name, lines(p), c.want, notes, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	const dropIn = `sudo sh -c 'mkdir -p /etc/systemd/system/user@.service.d && printf "[Service]\nDelegate=%s\n" >/etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload'`
	const boot = " # and boot with systemd.unified_cgroup_hierarchy=1 on the kernel's command line"
	for _, c := range []struct {
		name        string
		host        fixture
		limits      Limits
		cause, hint string
	}{
		{
			"hybrid", hybrid, usual,
			"enforce --memory 50m: the memory controller is bound to cgroup v1 (hybrid layout), which cannot be delegated to a user",
			fmt.Sprintf(dropIn, "cpu memory pids") + boot,
		},
		{
			"hybrid, io", hybrid,
			Limits{BlkioWeight: 100},
			"enforce --blkio-weight 100: the io controller is bound to cgroup v1 (hybrid layout), which cannot be delegated to a user",
			fmt.Sprintf(dropIn, "cpu io memory pids") + boot,
		},
		{
			"v1", legacy,
			Limits{Memory: 1 << 20},
			"enforce --memory 1m: the memory controller is bound to cgroup v1 (v1 layout), which cannot be delegated to a user",
			fmt.Sprintf(dropIn, "cpu memory pids") + boot,
		},
		{
			"v1, not mounted", legacy,
			Limits{Pids: 5},
			"enforce --pids-limit 5: the pids controller is not there: control groups are of version 1",
			fmt.Sprintf(dropIn, "cpu memory pids") + boot,
		},
		{
			"nothing mounted",
			fixture{files: "/proc/self/mountinfo: 1 1 0:1 / / rw - ext4 x rw"},
			Limits{Pids: 5},
			"enforce --pids-limit 5: the pids controller is not there: no control groups are mounted",
			"sudo mount -t cgroup2 none /sys/fs/cgroup",
		},
		{
			"io not delegated", debian12,
			Limits{Memory: 1 << 20, BlkioWeight: 100, CPUSet: Set{{0, 0}}},
			"enforce --cpuset-cpus 0: the cpuset controller is not delegated to user@1000.service (delegated: cpu memory pids)",
			fmt.Sprintf(dropIn, "cpu cpuset io memory pids") + " # then log in again, or: sudo systemctl restart user@1000",
		},
		{
			"no bus", noBus,
			Limits{Pids: 5},
			"enforce --pids-limit 5: the pids controller is not delegated: systemd's user@1000.service has no bus (usually /run/user/1000/bus)",
			"sudo apt-get install -y dbus-user-session && echo log in again",
		},
		{
			"a bus that is gone",
			fixture{files: debian12.files, env: map[string]string{"DBUS_SESSION_BUS_ADDRESS": "unix:path=/tmp/x"}},
			Limits{Pids: 5},
			"enforce --pids-limit 5: the pids controller is not delegated: systemd's user@1000.service has no bus (usually /run/user/1000/bus)",
			"sudo apt-get install -y dbus-user-session && echo log in again",
		},
		{
			"no manager", noManager,
			Limits{Pids: 5},
			"enforce --pids-limit 5: the pids controller is not delegated: no systemd of user 1000 runs",
			"sudo loginctl enable-linger 1000 && " + fmt.Sprintf(dropIn, "cpu memory pids"),
		},
		{
			"processes in the way", crowded,
			Limits{Pids: 5},
			"enforce --pids-limit 5: the pids controller cannot be enabled below " + own + ": processes are in it",
			"mkdir " + own + "/main && for p in $(cat " + own + "/cgroup.procs); do echo $p >" + own + "/main/cgroup.procs; done",
		},
		{
			"in a container", inside,
			Limits{Pids: 5},
			"enforce --pids-limit 5: the pids controller cannot be enabled below /sys/fs/cgroup: processes are in it",
			"mkdir /sys/fs/cgroup/main && for p in $(cat /sys/fs/cgroup/cgroup.procs); do echo $p >/sys/fs/cgroup/main/cgroup.procs; done",
		},
		{
			"the kernel",
			fixture{files: strings.ReplaceAll(debian12.files, " memory", "")},
			Limits{Memory: 1 << 20},
			"enforce --memory 1m: this kernel has no memory controller",
			"some distributions turn it off: cgroup_enable=memory on the kernel's command line",
		},
		{
			"no swap account",
			fixture{files: strings.ReplaceAll(debian12.files, "memory.swap.max", "x")},
			Limits{Memory: 1 << 20, MemorySwap: 1 << 21},
			"enforce --memory-swap 2m: the memory controller of this kernel has no memory.swap.max", "",
		},
		{
			"processors that are not there", fedora,
			Limits{CPUSet: Set{{0, 3}}},
			"enforce --cpuset-cpus 0-3: there are the processors 0-1", "",
		},
		{
			"no device", fedora,
			Limits{Devices: []DeviceLimit{{"/dev/none", WriteBPS, 1 << 20}}},
			"enforce --device-write-bps /dev/none:1m: no such file or directory", "",
		},
		{
			"no block device", fedora,
			Limits{Devices: []DeviceLimit{{"/run/user/1000/bus", ReadIOPS, 100}}},
			"enforce --device-read-iops /run/user/1000/bus:100: not a block device", "",
		},
	} {
		h := c.host.probe(t, c.limits)
		p, _, err := Compile(&c.limits, &h, "web", Require)
		var r *Refusal
		if !errors.As(err, &r) {
			t.Errorf("%s: got %s (%v), want a refusal", c.name, lines(p), err)
			continue
		}
		if err.Error() != c.cause {
			t.Errorf("%s: got\n%v\nwant\n%s", c.name, err, c.cause)
		}
		if r.Hint != c.hint {
			t.Errorf("%s: hint:\n%s\nwant\n%s", c.name, r.Hint, c.hint)
		}

		p, notes, err := Compile(&c.limits, &h, "web", BestEffort)
		_, limit, _ := strings.Cut(c.cause, "enforce ")
		limit, cause, _ := strings.Cut(limit, ": ")
		if want := limit + " is not enforced: " + cause; err != nil || !strings.Contains(strings.Join(notes, "\n"), want) {
			t.Errorf("%s: best effort: got notes %q (%v), want %q", c.name, notes, err, want)
		}
		if p != nil && !p.BestEffort {
			t.Errorf("%s: the placement does not know that it is a best effort", c.name)
		}
	}
}

// What can be enforced is, beside what cannot.
func TestBestEffortKeepsTheRest(t *testing.T) {
	l := Limits{Memory: 1 << 20, BlkioWeight: 100}
	h := debian12.probe(t, l)
	p, notes, err := Compile(&l, &h, "web", BestEffort)
	if err != nil || p == nil || p.Settings[0].File != "memory.max" || len(notes) == 0 {
		t.Errorf("got %s, notes %q (%v)", lines(p), notes, err)
	}
	for _, s := range p.Settings {
		if s.Controller == "io" {
			t.Errorf("kept %+v", s)
		}
	}
}

func TestDevices(t *testing.T) {
	l := Limits{Devices: []DeviceLimit{
		{"/dev/a", WriteBPS, 1}, {"/dev/a", ReadBPS, 2}, {"/dev/b", WriteIOPS, 3}, {"/dev/a", WriteBPS, 4},
	}}
	h := fedora.probe(t, Limits{Pids: 1})
	h.Devices = map[string]Device{"/dev/a": {Major: 8}, "/dev/b": {Major: 8, Minor: 16, Part: true}}
	p, notes, err := Compile(&l, &h, "web", Require)
	want := "scope rl-run-web.scope at unix:path=/run/user/1000/bus +io\nio.max = 8:0 rbps=2\nio.max = 8:16 wiops=3\nio.max = 8:0 wbps=4\n"
	if err != nil || lines(p) != want {
		t.Errorf("got\n%s\nwant\n%s(%v)", lines(p), want, err)
	}
	if len(notes) != 1 || !strings.Contains(notes[0], "/dev/b:3 limits the whole disk") {
		t.Errorf("notes %q", notes)
	}
}

func TestWeights(t *testing.T) {
	l := Limits{BlkioWeight: 10}
	h := fixture{files: strings.ReplaceAll(fedora.files, "[bfq]", "[none]")}.probe(t, l)
	_, notes, err := Compile(&l, &h, "web", Require)
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "has no effect") {
		t.Errorf("notes %q (%v)", notes, err)
	}
	h = fixture{files: strings.ReplaceAll(fedora.files, "io.weight: default 100", "io.bfq.weight: default 100")}.probe(t, l)
	p, _, err := Compile(&l, &h, "web", Require)
	if err != nil || !strings.HasSuffix(lines(p), "io.bfq.weight = default 10\n") {
		t.Errorf("got %s (%v)", lines(p), err)
	}
	for w, want := range map[int64]string{10: "default 1", 500: "default 4950", 1000: "default 10000"} {
		if _, value := (&Host{}).weight(w); value != want {
			t.Errorf("weight %d: got %s, want %s", w, value, want)
		}
	}
}
