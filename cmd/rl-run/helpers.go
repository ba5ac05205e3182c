package main

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/rootfs/copytree"
)

// copyTree is the helper of plan.CopyTree: FROM TO SOURCE [quiet]. Its working
// directory is the stage.
func copyTree(args []string) int {
	if len(args) < 3 {
		return fail(fmt.Errorf("copy: started without its arguments"))
	}
	var fds [2]int
	for i, name := range args[:2] {
		fd, err := unix.Open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
		if err != nil {
			return fail(&os.PathError{Op: "open", Path: args[2], Err: err})
		}
		fds[i] = fd
	}
	quiet := len(args) > 3
	meter := copytree.NewMeter(os.Stderr, "copy "+args[2])
	var o copytree.Options
	if !quiet {
		o.Progress = meter.Progress
	}
	stats, err := copytree.Copy(fds[0], fds[1], o)
	meter.Close()
	var unreadable *copytree.Unreadable
	var tooBig *copytree.TooBig
	switch {
	case errors.As(err, &unreadable):
		note(quiet)(fmt.Sprintf("copy %s: %v", args[2], err))
	case errors.As(err, &tooBig):
		return fail(&launch.Hinted{Err: fmt.Errorf("copy %s: %w", args[2], err), Hint: "give the tmpfs more with --size, or leave --copy out"})
	case err != nil:
		return fail(fmt.Errorf("copy %s: %w", args[2], err))
	}
	if stats.Remapped > 0 {
		note(quiet)(fmt.Sprintf("copy %s: %d files whose owner has no id in the container belong to its root", args[2], stats.Remapped))
	}
	if stats.Devices.N > 0 {
		note(quiet)(fmt.Sprintf("copy %s: %d device nodes are left out (%s is the first)", args[2], stats.Devices.N, stats.Devices.First))
	}
	return 0
}

// removeTree is the helper of plan.RemoveLayers: DIR.
func removeTree(args []string) int {
	if len(args) != 1 {
		return fail(fmt.Errorf("remove: started without its argument"))
	}
	if err := launch.RemoveTree(args[0]); err != nil {
		return fail(err)
	}
	return 0
}

// inherit is what the launcher's heir executes when the launcher is gone: OWNER. Nobody hears it.
func inherit(args []string) int {
	if len(args) != 1 || containers().Inherit(args[0]) != nil {
		return failure
	}
	return 0
}
