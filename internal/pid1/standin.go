package pid1

import "strconv"

// StandIn is what a launcher hands over to its stand-in: the same program, which the launcher executes in its own place
// once the container runs and Go is not needed any more. It forwards signals to init and ends with init's exit status, or
// 128+N when signal N killed it; meanwhile the memory of the launcher is free, and at the end there is next to nothing
// left to tear down. An environment tells it from an init, so that /proc/PID/cmdline may stay the launcher's own.
//
// It must be executed with all signals blocked, by all threads (sigpipe.Alone), and by the thread whose child init is: the others end
// with the exec, and with them what their children hold of PR_SET_PDEATHSIG.
type StandIn struct {
	PID     int    // of init, a child not yet waited for
	Pipe    int    // inherited, non-blocking: numbers of signals that were caught before, of 4 bytes each
	Signals uint64 // those that it forwards, bit N-1 for signal N; a SIGTSTP stops the stand-in instead
	Heir    int    // pid of a child that it kills when it has removed what is to be removed; 0 for none
	// At the end the files Remove are removed from the inherited directory Dir, in this order. A name that begins with a
	// point is an empty directory's.
	Dir    int
	Remove []string
}

// Env returns the environment that makes it a stand-in.
func (s *StandIn) Env() []string {
	const child = 1 << (17 - 1) // SIGCHLD, which ends each wait
	env := []string{strconv.Itoa(s.PID), strconv.Itoa(s.Pipe), strconv.FormatUint(s.Signals|child, 10), strconv.Itoa(s.Heir)}
	if len(s.Remove) == 0 {
		return env
	}
	return append(append(env, strconv.Itoa(s.Dir)), s.Remove...)
}
