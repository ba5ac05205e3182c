package leak

import "testing"

// Memos are kept on purpose; anything else beside them is a leak.
func TestMemosAreNoLeak(t *testing.T) {
	names := map[string]string{"/r/rl-run": "d", "/r/rl-run/starts": "d", "/r/rl-run/starts/31": "", "/r/rl-run/starts/0": ""}
	if forgetMemos(names); len(names) != 0 {
		t.Errorf("left: %v", names)
	}
	for _, other := range []string{"/r/rl-run/starts/.new", "/r/rl-run/starts/32", "/r/rl-run/c", "/r/rl-run/c/starts/1"} {
		names := map[string]string{"/r/rl-run": "d", "/r/rl-run/starts": "d", "/r/rl-run/starts/31": "", other: ""}
		forgetMemos(names)
		_, found := names[other]
		if _, top := names["/r/rl-run"]; !found || !top {
			t.Errorf("%s: left %v", other, names)
		}
	}
}
