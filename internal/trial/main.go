package trial

import (
	"fmt"
	"os"

	"github.com/rl-run/rl-run/internal/leak"
)

// workEnv names the directory that lives as long as the test program, and is
// removed behind it: programs and trees made for it, and its runtime directory.
const workEnv = "RLRUN_TRIAL_WORK"

// Tests returns a Runner that runs m under the supervisor of package leak, with an
// XDG_RUNTIME_DIR of its own.
func Tests(m leak.Runner) leak.Runner { return tests{m} }

type tests struct{ m leak.Runner }

func (r tests) Run() int {
	if len(os.Args) > 0 && os.Args[0] == leaderName {
		return lead()
	}
	// Below the supervisor this is the second time.
	if os.Getenv(workEnv) != "" {
		return leak.Tests(r.m).Run()
	}
	code, err := r.prepared()
	if err != nil {
		fmt.Fprintln(os.Stderr, "trial:", err)
		return 1
	}
	return code
}

func (r tests) prepared() (code int, err error) {
	// Not below the temporary directory of a test: the path of a socket in it may
	// take 107 bytes, unix(7).
	work, err := os.MkdirTemp("", "trial-")
	if err != nil {
		return 0, err
	}
	defer func() {
		if gone := removeAll(work); err == nil {
			err = gone
		}
	}()
	runtime := work + "/run"
	if err := os.Mkdir(runtime, 0o700); err != nil {
		return 0, err
	}
	for key, value := range map[string]string{workEnv: work, "XDG_RUNTIME_DIR": runtime} {
		if err := os.Setenv(key, value); err != nil {
			return 0, err
		}
	}
	return leak.Tests(r.m).Run(), nil
}
