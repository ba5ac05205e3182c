package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// modest is the nice value of a package that is tested beside the others: these need the processors more.
const modest = 10

// beside is the run of one package while others are tested. It is a process of its own, this program again, since each is the
// subreaper of what its tests start.
type beside struct {
	cmd *exec.Cmd
	out bytes.Buffer
}

// apart takes the package of that short name out of the others; nil where it is not there, or alone.
func apart(packages []pkg, name string) (alone *pkg, others []pkg) {
	i := slices.IndexFunc(packages, func(p pkg) bool { return p.short() == name })
	if i < 0 || len(packages) == 1 {
		return nil, packages
	}
	return &packages[i], slices.Concat(packages[:i], packages[i+1:])
}

// startBeside starts the run, which ends early with the context. The arguments are this program's.
func startBeside(ctx context.Context, args ...string) (*beside, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	b := &beside{cmd: exec.CommandContext(ctx, exe, args...)}
	b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
	b.cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	b.cmd.Cancel = func() error { return b.cmd.Process.Signal(unix.SIGTERM) } // so that it ends what it has started
	b.cmd.WaitDelay = 30 * time.Second
	if err := b.cmd.Start(); err != nil {
		return nil, err
	}
	spared = append(spared, b.cmd.Process.Pid)
	return b, unix.Setpriority(unix.PRIO_PROCESS, b.cmd.Process.Pid, modest)
}

// wait waits for the end, writes what was said and returns what was counted.
func (b *beside) wait(w io.Writer) Count {
	err := b.cmd.Wait()
	text := strings.TrimSuffix(b.out.String(), "\n")
	rest, last := "", text
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		rest, last = text[:i+1], text[i+1:]
	}
	var c Count
	if _, bad := fmt.Sscanf(last, "%d passed, %d failed, %d skipped", &c.Passed, &c.Failed, &c.Skipped); bad != nil {
		fmt.Fprintf(w, "%s\nthe run beside ended without a count: %v\n", text, err)
		return Count{Failed: 1}
	}
	_, _ = io.WriteString(w, rest)
	if err != nil && c.Failed == 0 && c.Skipped == 0 {
		fmt.Fprintf(w, "the run beside: %v\n", err)
		c.Failed++
	}
	return c
}
