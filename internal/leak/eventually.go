package leak

import (
	"testing"
	"time"
)

// Eventually waits until something holds, looking every few milliseconds, and fails the test when it does not in that time.
func Eventually(tb testing.TB, within time.Duration, what string, holds func() bool) {
	tb.Helper()
	for end := time.Now().Add(within); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("not within %v: %s", within, what)
		}
	}
}
