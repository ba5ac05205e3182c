package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/rl-run/rl-run/container"
	"github.com/rl-run/rl-run/internal/showjson"
)

const psHelp = `rl-ps lists your containers.

  rl-ps [-a] [--json] [--ns]

Examples:
  rl-ps -a                 those that have ended, too
  rl-ps --ns               which namespaces they have, and share

Options:
  -a, --all            all, not only those that run
  --json               one JSON array, with all that there is to tell
  --ns                 each namespace with its inode, and who else is in it
  -q, --quiet          names alone

A container is created while it is being started, then running, then exited with
a code. It is dead when it has ended without one, as after a crash of the
machine, and damaged when its state cannot be read; rl-rm -f removes those.
`

// listed is a container as rl-ps shows it.
type listed struct {
	Name      string
	State     container.Status
	Pid       int `json:",omitempty"`
	Rootfs    container.Text
	Command   []container.Text
	CreatedAt *time.Time `json:",omitempty"`
	ExitCode  *int       // null until it is known
	Ports     []string
	Damage    string `json:",omitempty"`

	Namespaces map[string]namespace `json:",omitempty"`

	inodes container.Namespaces
}

// ps is rl-ps.
func ps(args []string) int {
	var all, asJSON, ns, quiet bool
	flag := func(b *bool) func(*words) pflag.Value {
		return func(*words) pflag.Value { return (*truth)(b) }
	}
	c := command{
		program: "rl-ps", verb: "list containers", help: psHelp, usage: "rl-ps [-a] [--json] [--ns]",
		options: []option{{"all", "a", "true", flag(&all)}, {"json", "", "true", flag(&asJSON)}, {"ns", "", "true", flag(&ns)}, {"quiet", "q", "true", flag(&quiet)}},
	}
	_, code, done := c.read(args)
	if done {
		return code
	}
	list, err := listAll(ns)
	if err != nil {
		return fail(withHint(err))
	}
	if ns {
		if err := share(list); err != nil {
			return fail(err)
		}
	}
	if !all {
		list = slices.DeleteFunc(list, func(l *listed) bool {
			return l.State == container.Exited || l.State == container.Dead
		})
	}
	switch {
	case asJSON:
		return sayJSON(list)
	case quiet:
		var b strings.Builder
		for _, l := range list {
			b.WriteString(l.Name + "\n")
		}
		return say(b.String())
	case ns:
		return say(namespaceTable(list))
	}
	return say(table(list))
}

// listAll looks at all containers, the newest first.
func listAll(ns bool) ([]*listed, error) {
	list := []*listed{}
	err := containers().Each(func(e *container.Entry) error {
		list = append(list, look(e, ns))
		return nil
	})
	slices.SortFunc(list, func(a, b *listed) int {
		switch {
		case a.CreatedAt == nil || b.CreatedAt == nil || a.CreatedAt.Equal(*b.CreatedAt):
			return strings.Compare(a.Name, b.Name)
		}
		return b.CreatedAt.Compare(*a.CreatedAt)
	})
	return list, err
}

// look is a container as its entry has it.
func look(e *container.Entry, ns bool) *listed {
	l := &listed{Name: e.Name, State: e.Status, Rootfs: e.State.Rootfs, Command: e.State.Command, Ports: []string{}}
	switch e.Status {
	case container.Damaged:
		l.Command, l.Damage = []container.Text{}, e.Damage.Error()
		return l
	case container.Exited:
		l.ExitCode = &e.Exit.Code
	case container.Running:
		l.Pid, l.Ports = e.State.Init.PID, append(l.Ports, e.State.Ports...) // which nobody has after the end
		if ns {
			if p, err := e.Open(); err == nil {
				l.inodes, _ = p.Namespaces() // none of one that has just ended
				p.Close()
			}
		}
	case container.Created, container.Dead:
	}
	l.CreatedAt = &e.State.CreatedAt
	return l
}

func sayJSON(v any) int {
	var b strings.Builder
	if err := showjson.Encode(&b, v); err != nil {
		return fail(fmt.Errorf("write JSON: %w", err))
	}
	return say(b.String())
}

// table is for people: one line for each container.
func table(list []*listed) string {
	rows := [][]string{{"NAME", "STATE", "PID", "COMMAND", "CREATED", "PORTS", "ROOTFS"}}
	now := time.Now()
	for _, l := range list {
		row := []string{l.Name, string(l.State), "-", "-", "-", "-", "-"}
		if l.ExitCode != nil {
			row[1] += " (" + strconv.Itoa(*l.ExitCode) + ")"
		}
		if l.Pid != 0 {
			row[2] = strconv.Itoa(l.Pid)
		}
		if words := container.Strings(l.Command); len(words) > 0 {
			row[3] = short(oneLine(strings.Join(words, " ")))
		}
		if l.CreatedAt != nil {
			row[4] = ago(now.Sub(*l.CreatedAt))
		}
		if len(l.Ports) > 0 {
			row[5] = oneLine(strings.Join(l.Ports, ", "))
		}
		if l.Rootfs != "" {
			row[6] = oneLine(string(l.Rootfs))
		}
		rows = append(rows, row)
	}
	return columns(rows)
}

// short cuts a command so that the columns after it stay in sight.
func short(s string) string {
	const most = 30
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	return string([]rune(s)[:most-1]) + "…"
}

// ago is an age in its largest unit.
func ago(d time.Duration) string {
	for _, unit := range [...]struct {
		name string
		of   time.Duration
	}{{"day", 24 * time.Hour}, {"hour", time.Hour}, {"minute", time.Minute}, {"second", time.Second}} {
		if n := int(d / unit.of); n > 0 {
			if n > 1 {
				unit.name += "s"
			}
			return strconv.Itoa(n) + " " + unit.name + " ago"
		}
	}
	return "now"
}

// columns aligns rows; the last column is as long as it is.
func columns(rows [][]string) string {
	var width []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	return b.String()
}
