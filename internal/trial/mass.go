package trial

import "os"

// Mass is how many times a test that goes by numbers does what it does: n, or a tenth of
// it where RLRUN_TENTH is set, as in an emulated guest.
func Mass(n int) int {
	if os.Getenv("RLRUN_TENTH") == "" {
		return n
	}
	return max(1, n/10)
}
