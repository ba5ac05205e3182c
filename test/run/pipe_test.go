package run

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestGigabyteThroughPipes(t *testing.T) {
	tree := begin(t)
	const size = 1 << 30
	sent, got := sha256.New(), sha256.New()
	var n counter
	source := io.TeeReader(io.LimitReader(rand.NewChaCha8([32]byte{1}), size), sent)
	r := trial.Command{
		Args: []string{"--quiet", tree, "cat"}, Stdin: source, Stdout: io.MultiWriter(got, &n), Timeout: 2 * time.Minute,
	}.Run(t)
	r.OK(t)
	if n != size || fmt.Sprintf("%x", sent.Sum(nil)) != fmt.Sprintf("%x", got.Sum(nil)) {
		t.Errorf("%d bytes came out of %d, or others than went in", n, size)
	}
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func TestStreamsAreTheCallers(t *testing.T) {
	tree := begin(t)
	r := trial.Command{Args: script(nil, tree, "cat; echo out; echo err >&2"), Stdin: trial.StdinText("in\x00\r\n\x04\x1a")}.Run(t)
	want(t, "stdout", r.OK(t), "in\x00\r\n\x04\x1aout")
	want(t, "stderr", r.Stderr, "err\n")
	var late strings.Builder
	r = trial.Command{
		Args:  []string{"--quiet", "-i=false", tree, "sh", "-c", "cat; stat -L -c %t:%T /proc/self/fd/0"},
		Stdin: trial.StdinText("not for the container"), Stdout: &late,
	}.Run(t)
	if r.Code != 0 {
		t.Errorf("exit code %d", r.Code)
	}
	want(t, "stdout with -i=false", late.String(), "1:3\n")
}

// rl-run in a "while read" loop must be able to leave the loop's input alone.
func TestLoopOverStdin(t *testing.T) {
	tree := begin(t)
	text := `printf '1\n2\n3\n' | while read -r n; do "$@" -i=false "$tree" echo $n; done`
	r := trial.Command{Path: "/bin/sh", Args: []string{"-c", text, "sh", trial.Bin(t, "rl-run"), "--quiet"}, Env: []string{"tree=" + tree}}.Run(t)
	want(t, "output of the loop", r.OK(t), "1\n2\n3")
}

// A reader that goes away is told to the command by the kernel, and not by a hang.
func TestReaderGoesAway(t *testing.T) {
	tree := begin(t)
	text := `"$@" | head -n 1`
	r := trial.Command{Path: "/bin/sh", Args: []string{"-c", text, "sh", trial.Bin(t, "rl-run"), "--quiet", tree, "yes"}}.Run(t)
	want(t, "output", r.OK(t), "y")
}
