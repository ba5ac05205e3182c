package run

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// TestManyOpenFilesAllowed: what a start takes does not grow with how many files the caller may have open, as it does in a program
// that closes one number after the other.
func TestManyOpenFilesAllowed(t *testing.T) {
	tree := begin(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if want, err := strconv.ParseUint(os.Getenv("RLRUN_OPEN_FILES"), 10, 64); err == nil && limit.Max < want {
		t.Fatalf("%d files may be open here, want %d", limit.Max, want)
	}
	allowed := []uint64{1024, min(limit.Max, 65536), min(limit.Max, 1e6)}
	// Each number has a directory of its own, or a start would find the memo of another number, and be another kind of start.
	dirs := map[uint64]string{}
	for _, files := range allowed {
		dirs[files] = t.TempDir()
		if err := os.Chmod(dirs[files], 0o700); err != nil {
			t.Fatal(err)
		}
	}
	start := func(files uint64, options ...string) time.Duration {
		t.Helper()
		limited := fmt.Sprintf(`ulimit -n %d; [ "$(ulimit -Hn)" = %d ] && exec "$@"`, files, files)
		words := append([]string{"-c", limited, "sh", trial.Bin(t, "rl-run")}, append(options, "--quiet", "--net=none", tree, "true")...)
		began := time.Now()
		trial.Command{Path: "/bin/sh", Args: words, Env: []string{"XDG_RUNTIME_DIR=" + dirs[files]}, Timeout: time.Minute}.Run(t).OK(t)
		return time.Since(began)
	}
	// The least of several is what is left of the noise of a machine with other work.
	for name, options := range map[string][]string{"as before": nil, "as never before": {"-e", "A=b"}} {
		t.Run(name, func(t *testing.T) {
			least := make([]time.Duration, len(allowed))
			for turn := range 12 {
				for i, files := range allowed {
					if took := start(files, options...); turn == 0 || took < least[i] {
						least[i] = took
					}
				}
			}
			var text []string
			for i, files := range allowed {
				text = append(text, fmt.Sprintf("%d: %v", files, least[i].Round(100*time.Microsecond)))
			}
			t.Log("files allowed: " + strings.Join(text, ", "))
			if most := slices.Max(least[1:]); most > least[0]*3/2 {
				t.Errorf("%v with more files, %v with %d", most, least[0], allowed[0])
			}
		})
	}
}
