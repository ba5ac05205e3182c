package cgroup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fixture is a machine as files. The lines of a text are "PATH: CONTENT".
type fixture struct {
	files string
	env   map[string]string
	root  bool   // the caller is root
	mine  string // what the caller may write to: this directory and all below
}

func (f fixture) probe(t *testing.T, l Limits) Host {
	t.Helper()
	top := t.TempDir()
	for line := range strings.Lines(f.files) {
		path, content, ok := strings.Cut(strings.TrimSpace(line), ": ")
		if !ok {
			path = strings.TrimSuffix(path, ":")
		}
		if path == "" {
			continue
		}
		path = filepath.Join(top, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(content, `|`, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := &prober{
		root: top, euid: 1000,
		getenv: func(k string) string { return f.env[k] },
		access: func(path string) bool {
			rel, err := filepath.Rel(filepath.Join(top, f.mine), path)
			return f.mine != "" && err == nil && filepath.IsLocal(rel)
		},
	}
	if f.root {
		p.euid = 0
	}
	h := p.probe(&l)
	h.PageSize = 4096
	return h
}

const (
	user = "/sys/fs/cgroup/user.slice/user-1000.slice"

	mountsV2 = `
		/proc/self/mountinfo: 30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
		/sys/fs/cgroup/cgroup.controllers: cpuset cpu io memory hugetlb pids rdma misc
		/sys/fs/cgroup/cpuset.cpus.effective: 0-3
		`
	manager = user + `/user@1000.service/cgroup.type: domain
		` + user + `/user@1000.service/memory.swap.max: max
		` + user + `/user@1000.service/memory.oom.group: 0
		` + user + `/user@1000.service/cpu.max: max 100000
		/run/user/1000/bus:
		`
	session = `/proc/self/cgroup: 0::/user.slice/user-1000.slice/session-3.scope
		`
)

// debian12 is a login where systemd delegates what it does by itself.
var debian12 = fixture{files: mountsV2 + manager + session + user + `/user@1000.service/cgroup.controllers: cpu memory pids
	`}

// fedora delegates all.
var fedora = fixture{files: mountsV2 + manager + session + user + `/user@1000.service/cgroup.controllers: cpuset cpu io memory pids
	` + user + `/user@1000.service/cpuset.cpus.effective: 0-1
	` + user + `/user@1000.service/io.weight: default 100
	/sys/block/sda/queue/scheduler: none [bfq]
	`}

// noBus has a manager, but no bus.
var noBus = fixture{files: strings.ReplaceAll(debian12.files, "/run/user/1000/bus:", "")}

// noManager is a user for whom no systemd runs, as in "su" or cron.
var noManager = fixture{files: mountsV2 + session}

// hybrid has the controllers on version 1.
var hybrid = fixture{files: `
	/proc/self/mountinfo: 31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw|32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct|33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory|34 31 0:35 / /sys/fs/cgroup/blkio rw - cgroup cgroup rw,blkio|35 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids|41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
	/proc/self/cgroup: 8:pids:/|4:memory:/|0::/
	/sys/fs/cgroup/unified/cgroup.controllers:
	`}

// legacy has no version 2.
var legacy = fixture{files: `
	/proc/self/mountinfo: 32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu|33 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
	/proc/self/cgroup: 4:memory:/
	`}

const own = "/sys/fs/cgroup/system.slice/ci.service"

// service is a unit with User= and Delegate=, whose processes are in a group below.
var service = fixture{mine: own, files: mountsV2 + own + `/main/cgroup.type: domain
	` + own + `/main/cgroup.procs: 71
	` + own + `/main/cgroup.subtree_control:
	` + own + `/main/cgroup.controllers:
	` + own + `/cgroup.type: domain
	` + own + `/cgroup.procs:
	` + own + `/cgroup.subtree_control:
	` + own + `/cgroup.controllers: cpu memory pids
	` + own + `/memory.oom.group: 0
	/proc/self/cgroup: 0::/system.slice/ci.service/main
	`}

// crowded is the same with the processes where the controllers would be enabled.
var crowded = fixture{mine: own, files: mountsV2 + own + `/cgroup.type: domain
	` + own + `/cgroup.procs: 71
	` + own + `/cgroup.subtree_control:
	` + own + `/cgroup.controllers: cpu memory pids
	/proc/self/cgroup: 0::/system.slice/ci.service
	`}

// inside is a container with a group namespace, which sees its own group as the top.
var inside = fixture{mine: "/sys/fs/cgroup", root: true, files: `
	/proc/self/mountinfo: 30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
	/proc/self/cgroup: 0::/
	/proc/self/uid_map: 0 1000 1|1 100000 65536
	/sys/fs/cgroup/cgroup.type: domain
	/sys/fs/cgroup/cgroup.procs: 1|7
	/sys/fs/cgroup/cgroup.controllers: cpu memory pids
	/sys/fs/cgroup/cgroup.subtree_control:
	`}

// rootLogin is root on a machine with systemd.
var rootLogin = fixture{root: true, mine: "/sys/fs/cgroup", files: mountsV2 + `
	/proc/self/cgroup: 0::/user.slice/user-0.slice/session-1.scope
	/proc/self/uid_map: 0 0 4294967295
	/run/systemd/private:
	/run/dbus/system_bus_socket:
	/sys/fs/cgroup/system.slice/cgroup.controllers: cpu memory pids
	/sys/fs/cgroup/system.slice/cgroup.type: domain
	/sys/fs/cgroup/system.slice/memory.swap.max: max
	/sys/fs/cgroup/system.slice/memory.oom.group: 0
	/sys/fs/cgroup/system.slice/cpu.max: max 100000
	`}

// alpine is root on a machine without systemd, in the top group.
var alpine = fixture{root: true, mine: "/sys/fs/cgroup", files: mountsV2 + `
	/proc/self/cgroup: 0::/
	/proc/self/uid_map: 0 0 4294967295
	/sys/fs/cgroup/cgroup.procs: 1|2|3
	/sys/fs/cgroup/cgroup.subtree_control: memory
	`}
