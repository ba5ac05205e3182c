package main

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/sigpipe"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/userns"
)

// unshare is rl-unshare: a command of the host in the id map of containers.
func unshare(args []string) int {
	w, fs, err := read("rl-unshare", unshareOptions, args)
	switch {
	case errors.Is(err, pflag.ErrHelp):
		return say(unshareHelp)
	case err != nil:
		return fail(err)
	}
	var f flags
	if err := f.identity(w); err != nil {
		return fail(err)
	}
	if name := f.spec.UserOf; name != "" {
		return fail(&launch.Hinted{Err: fmt.Errorf("--userns %s%s: a program of this machine cannot be in it", launch.OfContainer, name), Hint: "rl-exec runs one of the container's there"})
	}
	caller, err := userns.Probe(f.spec.Userns.Mode, os.Getenv("PATH"))
	if err != nil {
		return fail(err)
	}
	ids, err := userns.Compile(f.spec.Userns, caller)
	if err != nil {
		return fail(err)
	}
	for _, n := range ids.Fallbacks {
		note(w.quiet)(n)
	}
	argv := fs.Args()
	if len(argv) == 0 {
		argv = []string{os.Getenv("SHELL")}
		if argv[0] == "" {
			argv[0] = "/bin/sh"
		}
	}
	paths := []string{argv[0]}
	if argv[0] != "" && !strings.Contains(argv[0], "/") {
		paths = nil
		list, set := os.LookupEnv("PATH")
		if !set {
			list = "/usr/local/bin:/usr/bin:/bin" // never the current directory, as execvp(3) had it before glibc 2.24
		}
		for dir := range strings.SplitSeq(list, ":") {
			if dir == "" {
				dir = "."
			}
			// EACCES of a directory would look like that of the command
			if unix.Access(dir, unix.X_OK) == nil {
				paths = append(paths, path.Join(dir, argv[0]))
			}
		}
	}
	// The command shares the caller's terminal and process group: ^C reaches it
	// by itself, and must not end the wait for it.
	signals, err := sigpipe.Open()
	if err != nil {
		return fail(err)
	}
	ws, err := launch.RunInMap(ids, caller, paths, argv, os.Environ(), signals)
	switch {
	case err != nil:
		return fail(err)
	case ws.Signaled():
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}
