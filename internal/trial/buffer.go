package trial

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// Buffer collects output while a test waits for parts of it.
type Buffer struct {
	mu      sync.Mutex
	text    []byte
	changed chan struct{} // closed at the next write
}

// Write appends.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p...)
	if b.changed != nil {
		close(b.changed)
		b.changed = nil
	}
	return len(p), nil
}

// String is all that was written so far.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}

// next returns what was written so far and a channel that is closed when there is more.
func (b *Buffer) next() (string, <-chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.changed == nil {
		b.changed = make(chan struct{})
	}
	return string(b.text), b.changed
}

// find waits for text behind the offset from, and returns the offset behind it.
func (b *Buffer) find(text string, from int, timeout time.Duration) (end int, ok bool) {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	for {
		all, more := b.next()
		if i := strings.Index(all[min(from, len(all)):], text); i >= 0 {
			return from + i + len(text), true
		}
		select {
		case <-more:
		case <-deadline.C:
			return 0, false
		}
	}
}

func (b *Buffer) await(tb testing.TB, text string, timeout time.Duration) string {
	tb.Helper()
	if _, ok := b.find(text, 0, timeout); !ok {
		tb.Fatalf("no %q within %v in the output %q", text, timeout, b.String())
	}
	return b.String()
}
