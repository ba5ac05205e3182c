package main

import (
	"slices"
	"strconv"
	"strings"

	"github.com/rl-run/rl-run/container"
)

// namespace is one that a container is in.
type namespace struct {
	Inode      uint64
	Path       string
	Host       bool     // it is the caller's own
	SharedWith []string // other containers in it
}

// share finds out who is in which namespace, for containers that run.
func share(list []*listed) error {
	own, err := container.OwnNamespaces()
	if err != nil {
		return err
	}
	in := make(map[uint64][]string)
	for _, l := range list {
		for i, inode := range l.inodes {
			if inode != 0 && inode != own[i] {
				in[inode] = append(in[inode], l.Name)
			}
		}
	}
	for _, l := range list {
		for i, inode := range l.inodes {
			if inode == 0 {
				continue
			}
			if l.Namespaces == nil {
				l.Namespaces = make(map[string]namespace, len(container.Kinds))
			}
			others := []string{}
			for _, name := range in[inode] {
				if name != l.Name {
					others = append(others, name)
				}
			}
			slices.Sort(others)
			kind := container.Kinds[i]
			l.Namespaces[kind] = namespace{inode, "/proc/" + strconv.Itoa(l.Pid) + "/ns/" + kind, inode == own[i], others}
		}
	}
	return nil
}

// namespaceTable has one line for each namespace of each container.
func namespaceTable(list []*listed) string {
	rows := [][]string{{"NAME", "PID", "NAMESPACE", "INODE", "SHARED WITH"}}
	for _, l := range list {
		for _, kind := range container.Kinds {
			n, ok := l.Namespaces[kind]
			if !ok {
				continue
			}
			with := "-"
			switch {
			case n.Host:
				with = "the host"
			case len(n.SharedWith) > 0:
				with = strings.Join(n.SharedWith, ", ")
			}
			rows = append(rows, []string{l.Name, strconv.Itoa(l.Pid), kind, strconv.FormatUint(n.Inode, 10), with})
		}
	}
	return columns(rows)
}
