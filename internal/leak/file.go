package leak

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// listFiles names what matches the patterns in scope and all that lies below.
// What may not be read is named without its contents.
func listFiles(s *scope) (map[string]string, error) {
	names := map[string]string{}
	for _, pattern := range s.paths {
		tops, err := filepath.Glob(pattern)
		if err != nil {
			return nil, &os.PathError{Op: "match", Path: pattern, Err: err}
		}
		for _, top := range tops {
			err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
				if errors.Is(err, fs.ErrNotExist) {
					return nil
				}
				if err == nil || errors.Is(err, fs.ErrPermission) {
					names[path] = "of unknown type"
					if d != nil {
						names[path] = d.Type().String()
					}
					return nil
				}
				return err
			})
			if err != nil {
				return nil, err
			}
		}
	}
	forgetMemos(names)
	return names, nil
}

// forgetMemos takes out what rl-run keeps on purpose: the memos of starts, and the directories that are there for them alone.
func forgetMemos(names map[string]string) {
	const starts = "/rl-run/starts"
	var dirs []string
	for path := range names {
		dir, name := filepath.Split(path)
		if _, err := strconv.ParseUint(name, 10, 5); err == nil && strings.HasSuffix(dir, starts+"/") {
			delete(names, path)
		}
		if strings.HasSuffix(path, starts) {
			dirs = append(dirs, path)
		}
	}
	for _, starts := range dirs {
		for _, dir := range []string{starts, filepath.Dir(starts)} {
			below := false
			for path := range names {
				below = below || strings.HasPrefix(path, dir+"/")
			}
			if !below {
				delete(names, dir)
			}
		}
	}
}

// listFDs names the file descriptors of the test program, each by number and target.
func listFDs(*scope) (map[string]string, error) {
	fds, err := numbers("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, fd := range fds {
		// The descriptor that listed the directory is closed by now.
		if target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd)); err == nil {
			names[fmt.Sprintf("%d (%s)", fd, target)] = ""
		}
	}
	return names, nil
}

// startPoller makes the Go runtime open its epoll instance and event fd, which it
// does at the first use of a pipe or socket and never undoes.
func startPoller() error {
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	defer w.Close()
	return r.SetReadDeadline(time.Now())
}
