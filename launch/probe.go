package launch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/cgroup"
	"github.com/rl-run/rl-run/internal/nofile"
	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/rootfs"
	"github.com/rl-run/rl-run/rootfs/mountspec"
	"github.com/rl-run/rl-run/userns"
)

// Probe finds out what a Spec needs to know of this machine. It only reads.
func Probe(s *Spec) (h Host, err error) {
	if !s.alone() {
		Unpin()
	}
	h = Host{Arch: runtime.GOARCH, Facts: AllFacts, Environ: os.Environ(), Path: os.Getenv("PATH")}
	if h.Kernel, h.Name, err = kernel(); err != nil {
		return h, err
	}
	h.Facts.TmpfsUpper = h.Kernel[0] > 6 || h.Kernel[0] == 6 && h.Kernel[1] >= 6
	term := ""
	if s.Terminal {
		term = os.Getenv("TERM")
	}
	tree, root, err := rootfs.Look(s.Rootfs, term)
	if err != nil {
		return h, rootfsError(s.Rootfs, err)
	}
	defer unix.Close(root)
	h.Rootfs = tree
	if err := h.lookTargets(s, root); err != nil {
		return h, err
	}
	if err := h.lookSources(s); err != nil {
		return h, err
	}
	if h.Caller, err = userns.Probe(s.Userns.Mode, h.Path); err != nil {
		return h, err
	}
	if h.LastCap, err = caps.Last(); err != nil {
		return h, err
	}
	h.Files[0], h.Files[1] = nofile.AtStart()
	if h.PID = os.Getpid(); !s.Limits.IsZero() {
		h.Groups = cgroup.Probe(&s.Limits, os.Getenv)
	}
	for _, l := range s.Ulimits {
		var has unix.Rlimit
		if err := unix.Getrlimit(l.Resource, &has); err != nil {
			return h, os.NewSyscallError("getrlimit", err)
		}
		if h.Ulimits == nil {
			h.Ulimits = make(map[int]uint64)
		}
		h.Ulimits[l.Resource] = has.Max
	}
	h.Masks = rootfs.LookMasks(append(rootfs.DefaultMasks[:], s.Mask...))
	for _, n := range rootfs.Nodes {
		if unix.Access("/dev/"+n, unix.F_OK) == nil {
			h.Nodes = append(h.Nodes, n)
		}
	}
	if h.Resolv, err = small("/etc/resolv.conf"); err != nil {
		return h, err
	}
	if s.Net == NetHost {
		if h.Hosts, err = small("/etc/hosts"); err != nil {
			return h, err
		}
	}
	if executable, err := os.Executable(); err == nil {
		if err := h.probeNetwork(s, executable); err != nil {
			return h, err
		}
	}
	if ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
		h.TTY, h.Rows, h.Cols = true, ws.Row, ws.Col
	}
	h.Layers = layersDir(s.Keep)
	return h, nil
}

// ProbeExec finds out what CompileExec needs to know of this machine. It only reads.
func ProbeExec() (h Host, err error) {
	h.Facts = AllFacts
	h.Environ, h.Path = os.Environ(), os.Getenv("PATH")
	h.Caller.UID, h.Caller.GID = uint32(os.Geteuid()), uint32(os.Getegid())
	if h.LastCap, err = caps.Last(); err != nil {
		return h, err
	}
	h.Files[0], h.Files[1] = nofile.AtStart()
	if ws, err := unix.IoctlGetWinsize(0, unix.TIOCGWINSZ); err == nil {
		h.TTY, h.Rows, h.Cols = true, ws.Row, ws.Col
	}
	return h, nil
}

// layersDir is where an overlay's writes go if they go to disk. /var/tmp rather
// than /tmp, which is a tmpfs on many machines (file-hierarchy(7)).
func layersDir(keep string) string {
	if keep != "" {
		if abs, err := filepath.Abs(keep); err == nil {
			return abs
		}
		return keep
	}
	base := os.Getenv("TMPDIR")
	if base == "" {
		base = "/var/tmp"
	}
	// A detached container has it for longer than the process has its id.
	return fmt.Sprintf("%s/rl-run-%d-%d-%s", base, os.Geteuid(), os.Getpid(), strconv.FormatInt(time.Now().UnixNano(), 36))
}

// kernel gives the first two numbers of its release, and the host name.
func kernel() (v [2]int, name string, err error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return v, "", os.NewSyscallError("uname", err)
	}
	release := unix.ByteSliceToString(u.Release[:])
	parts := strings.SplitN(release, ".", 3)
	for i := range min(len(parts), 2) {
		digits := strings.TrimRight(parts[i], "+-abcdefghijklmnopqrstuvwxyz")
		if v[i], err = strconv.Atoi(digits); err != nil {
			return v, "", fmt.Errorf("read kernel release %q: %w", release, err)
		}
	}
	return v, unix.ByteSliceToString(u.Nodename[:]), nil
}

// baseTargets are the places that every container has something mounted on.
var baseTargets = [...]string{"/proc", "/sys", "/dev", "/tmp", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf"}

func (h *Host) lookTargets(s *Spec, root int) error {
	h.Targets = make(map[string]rootfs.Target, len(baseTargets)+len(s.Mounts)+1)
	paths := baseTargets[:]
	if s.Workdir != "" {
		paths = append(slices.Clip(paths), s.Workdir)
	}
	for _, m := range s.Mounts {
		paths = append(slices.Clip(paths), m.MountPoint())
	}
	for _, p := range paths {
		t, err := rootfs.LookTarget(root, h.Rootfs.Path, p)
		if err != nil {
			return err
		}
		h.Targets[p] = t
	}
	return nil
}

func (h *Host) lookSources(s *Spec) error {
	h.Sources = make(map[string]rootfs.Source, len(s.Mounts)+2)
	look := func(path, target string) error {
		src, err := rootfs.LookSource(path)
		if err != nil {
			var pe *fs.PathError
			if target != "" && errors.As(err, &pe) {
				return fmt.Errorf("mount %s on %s: %w", path, target, pe.Err)
			}
			return err
		}
		h.Sources[path] = src
		return nil
	}
	for _, p := range []string{"/proc", "/sys"} {
		if err := look(p, ""); err != nil {
			return err
		}
	}
	for _, m := range s.Mounts {
		var err error
		switch m := m.(type) {
		case mountspec.Bind:
			err = look(m.Source, m.Target)
		case mountspec.Device:
			if err = look(m.Source, m.Target); err == nil && !h.Sources[m.Source].Device {
				err = fmt.Errorf("%s %s: %s is no device", m.Flag(), m, m.Source)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// small reads a file of the host of at most a mebibyte; a missing one is empty.
func small(path string) ([]byte, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, nil
	}
	defer unix.Close(fd)
	return passwd.Read(fd, path)
}
