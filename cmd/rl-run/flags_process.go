package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/passwd"
	"github.com/rl-run/rl-run/launch"
)

func (f *flags) environment(w *words) error {
	var fromFiles []string
	for _, name := range w.envFiles {
		vars, err := readEnvFile(name)
		if err != nil {
			return err
		}
		fromFiles = append(fromFiles, vars...)
	}
	f.spec.Env = append(fromFiles, f.spec.Env...)
	for _, kv := range f.spec.Env {
		if kv == "" || kv[0] == '=' {
			return fmt.Errorf("-e %q: expected NAME=VALUE or NAME", kv)
		}
	}
	return nil
}

// readEnvFile reads NAME=VALUE lines; lines that are empty or begin with # are
// comments.
func readEnvFile(name string) ([]string, error) {
	fd, err := unix.Open(name, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	defer unix.Close(fd)
	text, err := passwd.Read(fd, name)
	if errors.Is(err, passwd.ErrNotRegular) {
		if piped := readPipe(name); len(piped) > 0 {
			text, err = piped, nil
		}
	}
	if err != nil {
		return nil, err
	}
	var vars []string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\r\n")
		if line = strings.TrimLeft(line, " \t"); line != "" && line[0] != '#' {
			vars = append(vars, line)
		}
	}
	return vars, nil
}

// readPipe returns what a shell's <(COMMAND) writes, up to 1 MiB; nothing of what is no pipe, or one that nobody writes to.
func readPipe(name string) []byte {
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || info.Mode()&os.ModeNamedPipe == 0 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, passwd.Limit+1))
	if err != nil || len(text) > passwd.Limit {
		return nil
	}
	return text
}

// keptUntil is what --rm does not change.
const keptUntil = "with -d exit code and output are kept until rl-rm"

func (f *flags) refusals(w *words) error {
	switch {
	case w.privileged:
		return &launch.Hinted{
			Err:  errors.New("--privileged: a container of rl-run has no privileges of the host to give"),
			Hint: "--cap-add ALL --security-opt seccomp=unconfined --security-opt unmask=ALL gives all that a user namespace has",
		}
	case !w.init && f.spec.PID != launch.Private:
		return fmt.Errorf("--init=false: with --pid=%s nobody would end what the command leaves running", f.spec.PID)
	}
	f.spec.NoInit = !w.init
	if f.removeLater = w.remove && f.spec.Detach; f.removeLater && f.spec.Strict {
		return errors.New("--strict: --rm: " + keptUntil)
	}
	return nil
}

// process checks the words that only matter later.
func (f *flags) process(w *words) error {
	if err := oneOf("explain", f.explain, "", "text", "json", "sh"); err != nil {
		return err
	}
	stop, known := signalNumber(w.stopSignal)
	f.stopSignal, f.user = int(stop), w.user
	if !known {
		return noSignal("--stop-signal", w.stopSignal)
	}
	if err := kept(stop); err != nil && !f.spec.NoInit {
		return fmt.Errorf("--stop-signal %s: %w", w.stopSignal, err)
	}
	return nil
}

// noNULs refuses what cannot be passed to the kernel. A shell cannot write it.
func (f *flags) noNULs(w *words) error {
	s := &f.spec
	for _, list := range [...][]string{{s.Rootfs, s.Workdir, s.Keep, s.Hostname}, w.volumes, w.mounts, w.tmpfs, w.devices, w.security, w.envFiles, s.Env, s.Command} {
		for _, v := range list {
			if strings.IndexByte(v, 0) >= 0 {
				return fmt.Errorf("start a container: %q has a NUL byte", v)
			}
		}
	}
	return nil
}
