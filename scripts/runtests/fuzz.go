package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"

	"golang.org/x/sys/unix"
)

// fuzzInputs is how many inputs of its own each fuzz target makes out of its corpus. The test binary counts no coverage, so
// this finds what is near the corpus; "make fuzz" looks further. A number, for with a time the end of it may come to be
// told as a failure on a busy machine ("context deadline exceeded").
const fuzzInputs = 500

// fuzz runs the fuzz targets of a package's test binary on some inputs each. Each counts as one test.
func (s *suite) fuzz(ctx context.Context, binary string, p pkg, r *Report) error {
	targets, err := p.targets()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.limit.each)
	defer cancel()
	for _, name := range targets {
		c := exec.CommandContext(ctx, binary, "-test.run=^$", "-test.fuzz=^"+name+"$", fmt.Sprintf("-test.fuzztime=%dx", fuzzInputs),
			"-test.fuzzcachedir="+filepath.Join(s.dir, "fuzz"), "-test.parallel=2", "-test.paniconexit0")
		c.Dir = p.Dir
		c.Env = append(os.Environ(), "PWD="+p.Dir)
		c.SysProcAttr = &unix.SysProcAttr{Setsid: true}
		if out, err := c.CombinedOutput(); err != nil {
			r.fail("%s: %v\n%s", name, err, strings.TrimSuffix(string(out), "\n"))
			continue
		}
		r.Passed++
	}
	return nil
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz[A-Za-z0-9_]*)\(`)

// targets are the fuzz targets of a package. Its sources tell: to ask the binary costs a start of it.
func (p pkg) targets() (names []string, err error) {
	for _, file := range append(p.TestGoFiles, p.XTestGoFiles...) {
		text, err := os.ReadFile(filepath.Join(p.Dir, file))
		if err != nil {
			return nil, err
		}
		for _, m := range fuzzTarget.FindAllSubmatch(text, -1) {
			names = append(names, string(m[1]))
		}
	}
	return names, nil
}
