package leak

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// listCgroups names the control groups below the roots in scope.
func listCgroups(s *scope) (map[string]string, error) {
	names := map[string]string{}
	for _, root := range s.cgroups {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, unix.ENODEV) {
				return nil // removed meanwhile, or not ours to look into
			}
			if err != nil {
				return err
			}
			if d.IsDir() && path != root {
				procs, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
				names[path] = "processes: " + strings.Join(strings.Fields(string(procs)), " ")
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return names, nil
}

// cgroupRoots are the directories below which the caller may make control
// groups: its own group in each mounted hierarchy, and what a user manager
// of systemd delegated to it, which lies beside the group of a login session.
// A directory that the caller may not write to is left out, others work there;
// so is, for root, the root of a hierarchy.
func cgroupRoots() ([]string, error) {
	mounts, err := readMounts("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	// Of hierarchy-id:controllers:path, cgroups(7), only the path is needed: one that
	// belongs to another hierarchy does not exist in this one, or is harmless.
	own := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			own[f[2]] = true
		}
	}
	var roots []string
	for _, m := range mounts {
		if m.fstype != "cgroup" && m.fstype != "cgroup2" {
			continue
		}
		for path := range own {
			// The mount may show a part of the hierarchy only.
			if rel, err := filepath.Rel(m.root, path); err == nil && filepath.IsLocal(rel) && path != "/" {
				roots = appendWritable(roots, filepath.Join(m.target, rel))
			}
		}
		user, err := filepath.Glob(filepath.Join(m.target, "user.slice/user-*.slice/user@*.service"))
		if err != nil {
			return nil, err
		}
		for _, dir := range user {
			roots = appendWritable(roots, dir)
		}
	}
	return roots, nil
}

func appendWritable(dirs []string, dir string) []string {
	if unix.Access(dir, unix.W_OK) != nil {
		return dirs
	}
	return append(dirs, dir)
}
