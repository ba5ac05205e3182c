package main

import (
	"time"
	"unsafe"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/rootfs/mountspec"
)

// register writes down what the container is and that it runs.
func register(e *container.Entry, f *flags, host *launch.Host, c *launch.Container) error {
	init, err := container.RefOf(c.Child.PID)
	if err != nil {
		return err
	}
	keeper := e.State.Owner
	if c.Child.Keeper != 0 {
		if keeper, err = container.RefOf(c.Child.Keeper); err != nil {
			return err
		}
	}
	if filter := filterOf(&c.Plan); filter != nil {
		if err := e.WriteFilter(filter); err != nil {
			return err
		}
	}
	if err := e.WriteConfig(config(e.Name, f, host, c)); err != nil {
		return err
	}
	return e.WriteState(&container.State{Init: init, Keeper: keeper, StartedAt: time.Now().UTC(), Cgroup: c.Group.Path(), Ports: c.Ports})
}

// filterOf is the command's seccomp filter as the kernel gets it, nil for none.
func filterOf(p *plan.Plan) []byte {
	for _, e := range p.Entries {
		if s, ok := e.Step.(plan.Seccomp); ok && len(s.Filter) > 0 {
			size := len(s.Filter) * int(unsafe.Sizeof(s.Filter[0]))
			return unsafe.Slice((*byte)(unsafe.Pointer(&s.Filter[0])), size)
		}
	}
	return nil
}

// config is what rl-inspect shows and rl-exec repeats.
func config(name string, f *flags, host *launch.Host, c *launch.Container) *container.Config {
	s := &f.spec
	exec := execOf(&c.Plan)
	text := &container.Config{
		Name: name, Rootfs: container.Text(host.Rootfs.Path), RootMode: string(s.RootMode),
		Command: container.Texts(exec.Argv), CreatedAt: time.Now().UTC(), Hostname: c.Hostname,
		UidMap: c.IDs.Maps.UID, GidMap: c.IDs.Maps.GID,
		Share: map[string]string{}, Mounts: mountsOf(s.Mounts),
		Capabilities: container.Capabilities{
			Bounding: container.CapSet(c.Sets.Bounding), Effective: container.CapSet(c.Sets.Effective),
			Permitted: container.CapSet(c.Sets.Permitted), Inheritable: container.CapSet(c.Sets.Inheritable),
			Ambient: container.CapSet(c.Sets.Ambient),
		},
		Seccomp: s.Seccomp, NoNewPrivs: !s.NewPrivs,
		Network: networkOf(s, c), Fallbacks: c.Notes,
		Limits: limitsOf(s, c),
		Exec: container.Exec{
			UID: c.User.UID, GID: c.User.GID, Groups: c.User.Groups, User: f.user,
			Workdir: container.Text(workdirOf(&c.Plan)), Env: container.Texts(c.Env), Terminal: c.Terminal,
		},
		StopSignal: f.stopSignal,
	}
	for _, e := range c.Plan.Entries {
		if s, ok := e.Step.(plan.Seccomp); ok {
			text.Exec.FilterFlags = s.Flags
		}
	}
	switch {
	case text.Seccomp != "":
	case s.Nest:
		text.Seccomp = "nest"
	default:
		text.Seccomp = "default"
	}
	for kind, share := range map[string]launch.Share{"pid": s.PID, "ipc": s.IPC, "uts": s.UTS, "cgroup": s.Cgroup} {
		if share == launch.Shared || share.Owner() != "" {
			text.Share[kind] = string(share)
		}
	}
	if s.Net == launch.NetHost || launch.Share(s.Net).Owner() != "" {
		text.Share["net"] = s.Net
	}
	if names := f.owners(); len(names) > 0 {
		text.Share["user"] = launch.OfContainer + names[0]
	}
	return text
}

func networkOf(s *launch.Spec, c *launch.Container) container.Network {
	n := container.Network{Mode: s.Net, Ports: c.Ports, Aliases: s.Aliases, DNS: s.DNS}
	if s.Net != launch.NetHost { // whose files are there to be read
		n.Hosts, n.Resolv = container.Text(c.Hosts), container.Text(c.Resolv)
	}
	switch c.Network.Kind {
	case launch.NetPasta, launch.NetSlirp:
		n.Driver = c.Network.Kind
	case "session":
		n.Driver = "rl-netd"
	case launch.NetVeth:
		n.Driver = "rl-veth"
	}
	if c.Network.Address.IsValid() {
		n.Address = c.Network.Address.String()
	}
	if n.Ports == nil {
		n.Ports = []string{}
	}
	return n
}

func execOf(p *plan.Plan) (exec plan.Exec) {
	for _, e := range p.Entries {
		if s, ok := e.Step.(plan.Exec); ok {
			exec = s
		}
	}
	return exec
}

func workdirOf(p *plan.Plan) string {
	for _, e := range p.Entries {
		if s, ok := e.Step.(plan.Chdir); ok {
			return s.Path
		}
	}
	return "/"
}

func mountsOf(list []mountspec.Mount) []container.Mount {
	mounts := make([]container.Mount, 0, len(list))
	for _, m := range list {
		shown := container.Mount{Type: "bind", Destination: container.Text(m.MountPoint()), Options: []string{}}
		switch m := m.(type) {
		case mountspec.Bind:
			shown.Source = container.Text(m.Source)
			if m.ReadOnly {
				shown.Options = append(shown.Options, "ro")
			}
			if m.NoExec {
				shown.Options = append(shown.Options, "noexec")
			}
		case mountspec.Device:
			shown.Source = container.Text(m.Source)
		case mountspec.Tmpfs:
			shown.Type = "tmpfs"
		}
		mounts = append(mounts, shown)
	}
	return mounts
}
