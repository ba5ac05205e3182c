package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pkg is one package as go list tells it.
type pkg struct {
	ImportPath   string
	Dir          string
	Module       struct{ Path string }
	TestGoFiles  []string
	XTestGoFiles []string
}

// short returns the import path below the module's.
func (p pkg) short() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, p.Module.Path), "/")
}

// list returns the packages that have tests.
func list(ctx context.Context, patterns []string) ([]pkg, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"list", "-json", "--"}, patterns...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 {
			packages = append(packages, p)
		}
	}
}

// limits are how long the tests of a package may take.
type limits struct{ each, guest time.Duration }

// of is the limit of a package.
func (l limits) of(p pkg) time.Duration {
	if p.short() == "test/vm" {
		return l.guest
	}
	return l.each
}

// suite compiles and runs the tests of packages.
type suite struct {
	dir       string // takes the test binaries
	limit     limits
	test2json string // path of the test2json program
}

func newSuite(ctx context.Context, dir string, limit limits) (*suite, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &suite{dir: dir, limit: limit, test2json: filepath.Join(dir, "test2json")}
	out, err := exec.CommandContext(ctx, "go", "build", "-o", s.test2json, "cmd/test2json").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go build cmd/test2json: %w: %s", err, out)
	}
	return s, nil
}

// test compiles and runs the tests of one package and ends what they left
// behind. The error is of the machinery, not of the tests.
func (s *suite) test(ctx context.Context, p pkg) (*Report, error) {
	binary := filepath.Join(s.dir, strings.ReplaceAll(p.short(), "/", ".")+".test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-o", binary, p.ImportPath)
	if out, err := build.CombinedOutput(); err != nil {
		r := &Report{}
		r.fail("%s", strings.TrimSuffix(string(out), "\n"))
		return r, nil
	}

	// The stream of events ends when every process that holds it has gone, so it is read beside the
	// wait for the tests, and what they leave behind is ended before it is joined.
	read, write, err := os.Pipe()
	if err != nil {
		return &Report{}, err
	}
	defer read.Close()
	defer write.Close()
	convert := exec.Command(s.test2json, "-p", p.ImportPath)
	convert.Stdin, convert.Stderr = read, os.Stderr
	events, err := convert.StdoutPipe()
	if err != nil {
		return &Report{}, err
	}
	run := exec.CommandContext(ctx, binary,
		"-test.v=test2json", "-test.paniconexit0", "-test.timeout="+s.limit.of(p).String())
	run.Dir = p.Dir
	run.Env = append(os.Environ(), "PWD="+p.Dir)
	run.Stdout, run.Stderr = write, write
	// A session of its own: no terminal to read from or to be stopped by, as in CI.
	run.SysProcAttr = &unix.SysProcAttr{Setsid: true}

	if err := convert.Start(); err != nil {
		return &Report{}, err
	}
	if err := run.Start(); err != nil {
		_ = write.Close()
		return &Report{}, errors.Join(err, convert.Wait())
	}
	type outcome struct {
		report *Report
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		report, err := tally(events)
		done <- outcome{report, err}
	}()
	failed := run.Wait()
	left := endOrphans(convert.Process.Pid, 2*time.Second)
	_ = write.Close()
	result := <-done
	r := result.report
	if failed != nil && r.Failed == 0 {
		r.fail("%s: %v", p.short(), failed)
	}
	if len(left) > 0 {
		r.fail("processes left behind by the tests, now ended:\n%s", strings.Join(left, "\n"))
	}
	err = errors.Join(result.err, convert.Wait())
	if err == nil && r.Failed == 0 {
		err = s.fuzz(ctx, binary, p, r)
	}
	return r, err
}
