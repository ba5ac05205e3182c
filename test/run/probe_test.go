package run

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// probeEnv names what the test program is to look at, in place of running tests.
const probeEnv = "RLRUN_PROBE"

// probePath is where it is bound.
const probePath = "/tmp/probe"

// probe looks, and prints what it found as JSON. It returns the exit code.
func probe(name string, args []string) int {
	var found any
	var err error
	switch name {
	case "namespaces":
		found, err = lookNamespaces()
	case "loopback":
		found, err = lookLoopback()
	case "tree":
		err = listTree(os.Stdout, args[0])
		found = "end"
	case "spy":
		found = spy(spyOnce)
	case "spy-race":
		found = spy(spyRace)
	case "keys":
		found = lookKeys(args[0])
	case "with-keys":
		err = runWithKeys(args)
	case "uids":
		found, err = lookUIDs()
	case "pty":
		found, err = lookPTY()
	case "fakes":
		found, err = lookFakes()
	case "mqueue":
		err = lookMessageQueue()
		found = "ok"
	case "orphans":
		found, err = makeOrphans(10_000)
	default:
		err = fmt.Errorf("no such probe: %s", name)
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(found)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		return 1
	}
	return 0
}

// probeCommand is rl-run with this test program as the container's command.
func probeCommand(t *testing.T, name, tree string, options []string, args ...string) trial.Command {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return trial.Command{Args: slices.Concat(
		[]string{"--quiet", "-v", self + ":" + probePath + ":ro", "-e", probeEnv + "=" + name}, options,
		[]string{tree, probePath}, args)}
}

// probed runs a probe in the shared busybox tree and decodes what it found.
func probed[T any](t *testing.T, name string, options []string, args ...string) (found T) {
	t.Helper()
	return decoded[T](t, probeCommand(t, name, trial.Tree(t, "busybox"), options, args...).Run(t))
}

func decoded[T any](t *testing.T, r trial.Result) (found T) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.OK(t)), &found); err != nil {
		t.Fatalf("probe: %v in %q", err, r.Stdout)
	}
	return found
}

// hostProbe is a probe outside of all containers.
func hostProbe(t *testing.T, name string, args ...string) trial.Command {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return trial.Command{Path: self, Args: args, Env: []string{probeEnv + "=" + name}}
}
