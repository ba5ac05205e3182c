// Runtests runs the tests of all packages, one package after the other but for one that
// may be tested beside them, and ends with one line that counts them.
//
// What go test does not do, it does: it counts tests, it fails on a skip where
// none is allowed, and it holds a package to account for the processes that its
// tests leave behind. It is the subreaper of all that the tests start
// (PR_SET_CHILD_SUBREAPER, Linux 3.4), so an orphan becomes its child and
// cannot hide; it ends those, by their own pid, before the next package.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"
)

const usage = `usage: runtests [OPTIONS] [PACKAGE...]

Runs the tests of the packages (default ./...), with the go command in PATH.
A test or sub-test without sub-tests of its own counts as one; so do the seeds
of a fuzz target and a short run of it, a package that does not compile or ends
early, and the processes that a package leaves behind. Ends with 0 when nothing failed and,
if RLRUN_NO_SKIP is set, nothing was skipped.

`

func main() {
	each := flag.Duration("timeout", 10*time.Minute, "`limit` of one package")
	guest := flag.Duration("guest", 20*time.Minute, "`limit` of test/vm, the tests in an emulated machine")
	all := flag.Duration("total", 27*time.Minute, "`limit` of the whole run")
	name := flag.String("beside", "", "`package`, by its path below the module's, to test at the same time as the others")
	dir := flag.String("bin", ".cache/tests", "`directory` that takes the test binaries")
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	flag.Parse()

	patterns := flag.Args()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}

	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGHUP, unix.SIGINT, unix.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeoutCause(ctx, *all, fmt.Errorf("the whole run took longer than %v", *all))
	defer cancel()

	_, noSkip := os.LookupEnv("RLRUN_NO_SKIP")
	total, err := run(ctx, os.Stdout, *dir, *name, limits{*each, *guest}, patterns)
	if err != nil {
		fmt.Fprintf(os.Stderr, "runtests: error: %v\n", err)
		total.Failed++
	}
	fmt.Println(total)
	if total.Failed > 0 || noSkip && total.Skipped > 0 {
		os.Exit(1)
	}
}

// run tests the packages and prints one line for each. A package that fails
// is no error of run; what keeps it from testing the rest is.
func run(ctx context.Context, w io.Writer, dir, name string, limit limits, patterns []string) (total Count, err error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return total, os.NewSyscallError("prctl PR_SET_CHILD_SUBREAPER", err)
	}
	packages, err := list(ctx, patterns)
	if err != nil {
		return total, err
	}
	alone, packages := apart(packages, name)
	if alone != nil {
		b, err := startBeside(ctx, "-bin="+dir+"/beside", "-guest="+limit.guest.String(), "-timeout="+limit.each.String(), alone.ImportPath)
		if err != nil {
			return total, err
		}
		defer func() { total = total.plus(b.wait(w)) }()
	}
	suite, err := newSuite(ctx, dir, limit)
	if err != nil {
		return total, err
	}
	for _, p := range packages {
		start := time.Now()
		report, err := suite.test(ctx, p)
		if err == nil || report.Failed > 0 {
			report.print(w, p.short(), time.Since(start))
		}
		total = total.plus(report.Count)
		if ctx.Err() != nil {
			return total, context.Cause(ctx)
		}
		if err != nil {
			return total, err
		}
	}
	if total == (Count{}) {
		return total, errors.New("no test was run")
	}
	return total, nil
}
