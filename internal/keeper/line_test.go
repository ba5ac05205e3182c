package keeper

import (
	"strings"
	"testing"
	"time"
)

func TestParseExit(t *testing.T) {
	for content, want := range map[string]Status{
		string(EmptyExit()): {},
		"exit 137 1700000000.123456789 00000000000000004096\n":             {Ended: true, Code: 137, At: time.Unix(1700000000, 123456789), Dropped: 4096},
		"exit 137 0000000001.000000000 00000000000000000000\noom_kill 1\n": {Ended: true, Code: 137, At: time.Unix(1, 0), Events: "oom_kill 1\n"},
		"exit 000 0000000001.000000000 18446744073709551615\n":             {Ended: true, At: time.Unix(1, 0), Dropped: 1<<64 - 1},
		// The keeper was killed between the two writes of an end.
		"live 007 1700000000.000000001 00000000000000000001\n": {Dropped: 1},
	} {
		got, ok := ParseExit([]byte(content))
		if !ok || got != want {
			t.Errorf("%q: %+v, %v", content, got, ok)
		}
	}
}

func TestParseExitRefuses(t *testing.T) {
	good := "exit 137 1700000000.123456789 00000000000000004096\n"
	for _, bad := range []string{
		"", good[1:], strings.Repeat("\x00", len(good)),
		strings.Replace(good, "exit", "dead", 1), strings.Replace(good, "137", "256", 1), strings.Replace(good, "137", "-37", 1),
		strings.Replace(good, "000000000000000", "999999999999999", 1), strings.ReplaceAll(good, ".", ","),
		strings.TrimSuffix(good, "\n") + " ",
	} {
		if got, ok := ParseExit([]byte(bad)); ok || got != (Status{}) {
			t.Errorf("%q: %+v, %v", bad, got, ok)
		}
	}
}

func FuzzParseExit(f *testing.F) {
	f.Add(EmptyExit())
	f.Add([]byte("exit 137 1700000000.123456789 00000000000000004096\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, ok := ParseExit(b)
		switch {
		case !ok && s != Status{}:
			t.Errorf("refused, but %+v", s)
		case ok && (s.Code < 0 || s.Code > 255):
			t.Errorf("code %d", s.Code)
		case ok && !s.Ended && (s.Code != 0 || !s.At.IsZero()):
			t.Errorf("alive with an end: %+v", s)
		}
	})
}
