package main

import (
	"errors"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/container"
)

const inspectHelp = `rl-inspect prints all that is known of containers, as a JSON array.

  rl-inspect [--show-secrets] NAME...

Examples:
  rl-inspect db
  rl-inspect db | jq -r '.[0].Namespaces.net.Inode'

Options:
  --show-secrets       values of environment variables, not names alone
`

// inspected is a container as rl-inspect shows it.
type inspected struct {
	Name       string
	State      container.Status
	Pid        int // of its init, as the host sees it; 0 unless it runs
	Rootfs     container.Text
	RootMode   string
	Command    []container.Text
	CreatedAt  time.Time
	StartedAt  *time.Time
	FinishedAt *time.Time
	ExitCode   *int // null until it is known
	OOMKilled  bool
	Dropped    uint64 // bytes of output that are in no log, because the disk was full
	Detached   bool
	Hostname   string

	UIDMap     container.IDMap `json:"UidMap"` // as podman spells it
	GIDMap     container.IDMap `json:"GidMap"`
	Share      map[string]string
	Namespaces map[string]namespace
	Mounts     []container.Mount

	Capabilities container.Capabilities
	Seccomp      string
	NoNewPrivs   bool

	Network    container.Network
	Limits     container.Limits
	Fallbacks  []string
	Exec       container.Exec
	StopSignal int
}

// inspect is rl-inspect.
func inspect(args []string) int {
	var secrets bool
	c := command{
		program: "rl-inspect", verb: "inspect", help: inspectHelp, usage: "rl-inspect NAME...", least: 1,
		options: []option{{"show-secrets", "", "true", func(*words) pflag.Value { return (*truth)(&secrets) }}},
	}
	names, code, done := c.read(args)
	if done {
		return code
	}
	found := []*inspected{}
	var everybody []*listed // who else is in a namespace
	code = c.each(containers(), names, func(e *container.Entry) error {
		i, err := inspectOne(e, secrets)
		if err != nil {
			return err
		}
		found = append(found, i)
		if e.Status != container.Running {
			return nil
		}
		if everybody == nil {
			if everybody, err = listAll(true); err != nil {
				return err
			}
			if err = share(everybody); err != nil {
				return err
			}
		}
		for _, l := range everybody {
			if l.Name == e.Name && l.Pid == i.Pid {
				i.Namespaces = l.Namespaces
			}
		}
		return nil
	})
	if said := sayJSON(found); said != 0 {
		return said
	}
	return code
}

func inspectOne(e *container.Entry, secrets bool) (*inspected, error) {
	if e.Status == container.Damaged {
		return nil, e.Damage
	}
	config, err := e.Config()
	if err != nil {
		if e.Status == container.Created {
			return nil, errors.New("it is still being started")
		}
		return nil, err
	}
	s := &e.State
	i := &inspected{
		Name: e.Name, State: e.Status, Rootfs: config.Rootfs, RootMode: config.RootMode, Command: config.Command,
		CreatedAt: config.CreatedAt, OOMKilled: e.Exit.OOMKilled, Dropped: e.Exit.Dropped, Detached: s.Detached, Hostname: config.Hostname,
		UIDMap: config.UidMap, GIDMap: config.GidMap, Share: config.Share, Mounts: config.Mounts,
		Capabilities: config.Capabilities, Seccomp: config.Seccomp, NoNewPrivs: config.NoNewPrivs,
		Network: config.Network, Limits: config.Limits, Fallbacks: append(config.Fallbacks, s.Fallbacks...),
		Exec: config.Exec, StopSignal: config.StopSignal,
	}
	// Lists are lists, empty or not.
	i.Mounts, i.Fallbacks, i.Exec.Groups = notNull(i.Mounts), notNull(i.Fallbacks), notNull(i.Exec.Groups)
	i.Network.Ports = notNull(i.Network.Ports)
	if i.CreatedAt.IsZero() {
		i.CreatedAt = s.CreatedAt
	}
	if !s.StartedAt.IsZero() {
		i.StartedAt = &s.StartedAt
	}
	if len(s.Ports) > 0 {
		i.Network.Ports = s.Ports
	}
	if s.Driver != "" {
		i.Network.Driver = s.Driver
	}
	switch e.Status {
	case container.Running:
		i.Pid = s.Init.PID
	case container.Exited:
		i.ExitCode = &e.Exit.Code
		if !e.Exit.At.IsZero() {
			i.FinishedAt = &e.Exit.At
		}
	case container.Created, container.Dead, container.Damaged:
	}
	if !secrets {
		for n, v := range i.Exec.Env {
			name, _, _ := strings.Cut(string(v), "=")
			i.Exec.Env[n] = container.Text(name)
		}
	}
	return i, nil
}

// notNull makes JSON write [] for an empty list.
func notNull[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
