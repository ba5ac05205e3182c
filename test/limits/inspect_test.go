package limits

import (
	"encoding/json"
	"fmt"
	"testing"
)

// inspect returns a field of what rl-inspect says of a container.
func inspect(t *testing.T, name, field string) string {
	t.Helper()
	var all []map[string]any
	text := rl(t, "rl-inspect", name).OK(t)
	if err := json.Unmarshal([]byte(text), &all); err != nil || len(all) != 1 {
		t.Fatalf("rl-inspect %s: %v in %s", name, err, text)
	}
	value, ok := all[0][field]
	if !ok {
		t.Fatalf("rl-inspect %s: no field %s in %s", name, field, text)
	}
	return fmt.Sprint(value)
}
