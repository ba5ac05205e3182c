package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/rl-run/rl-run/internal/runtimedir"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/rootfs/mountspec"
)

// unexposed sees to it that a container does not reach the state of containers: its root is the caller's own uid
// outside. A bind that shows it is refused, and a root in which one could write it; in any other ROOTFS it is covered.
// What would let a container make a place for that state is refused as well.
func unexposed(f *flags) error {
	s := &f.spec
	dir := runtimedir.New(os.Getenv("XDG_RUNTIME_DIR"), os.Geteuid())
	for _, m := range s.Mounts {
		bind, ok := m.(mountspec.Bind)
		if !ok {
			continue
		}
		switch exposes, err := dir.Exposes(bind.Source); {
		case errors.Is(err, os.ErrNotExist): // Probe says so
		case err != nil: // also where only this look has failed: what cannot be told is refused
			return fmt.Errorf("mount %s on %s: %w", bind.Source, bind.Target, err)
		case exposes:
			return &launch.Hinted{
				Err:  fmt.Errorf("-v %s: the state of rl-run's containers is below it, which no container may reach", bind.Source),
				Hint: "bind a directory further down, or set XDG_RUNTIME_DIR to a directory elsewhere that is yours alone",
			}
		}
		if err := ungiven(dir, "-v", bind.Source); err != nil {
			return err
		}
	}
	switch exposes, err := dir.Exposes(s.Rootfs); {
	case err != nil: // Probe says more
		return nil
	case exposes && s.RootMode == launch.RootWritable:
		return fmt.Errorf("--rw %s: the state of rl-run's containers is below it, which no container may reach", s.Rootfs)
	case exposes:
		f.covered = true
		return cover(f, dir)
	case s.RootMode == launch.RootWritable:
		return ungiven(dir, "--rw", s.Rootfs)
	}
	return nil
}

// ungiven refuses what would let a container make a directory in which rl-run would look for the state of containers.
func ungiven(dir *runtimedir.Dir, option, source string) error {
	switch place, err := dir.Gives(source); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case place != "":
		return &launch.Hinted{
			Err: fmt.Errorf("%s %s: a container with it could make %s, where rl-run looks for the state of containers, which no container may reach",
				option, source, place),
			Hint: "use a directory further down, or set XDG_RUNTIME_DIR to a directory elsewhere that is yours alone",
		}
	}
	return nil
}

// cover mounts an empty directory over the state of containers in ROOTFS. It is made where it is missing: later it
// would appear in a ROOTFS that is bound read-only. For the same reason such a container is listed from its start on, so that the
// directory is not removed meanwhile, and with it the mount on it.
func cover(f *flags, dir *runtimedir.Dir) error {
	s := &f.spec
	fd, path, err := dir.Open()
	if err != nil {
		return err
	}
	state := os.NewFile(uintptr(fd), path)
	defer state.Close()
	if f.explain != "" {
		defer func(made string) { _ = os.Remove(made) }(path) // if it is empty: nothing is started
	}
	exposed := fmt.Errorf("use %s as ROOTFS: the state of rl-run's containers is in reach there, in %s", s.Rootfs, path)
	root, err := filepath.EvalSymlinks(s.Rootfs)
	if err == nil {
		root, err = filepath.Abs(root)
	}
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	inside, err2 := filepath.Rel(root, path)
	if err != nil || err2 != nil || inside == "." || inside == ".." || strings.HasPrefix(inside, "../") {
		return exposed
	}
	if slices.ContainsFunc(s.CapAdd, func(name string) bool {
		name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		return name == "ALL" || name == "SYS_ADMIN"
	}) {
		return &launch.Hinted{Err: exposed, Hint: "it would be covered, but SYS_ADMIN could take the cover away: leave that capability out"}
	}
	s.Mounts = append(s.Mounts, mountspec.Tmpfs{Target: "/" + inside, Mode: 0o700, ReadOnly: true, NoExec: true})
	return nil
}
