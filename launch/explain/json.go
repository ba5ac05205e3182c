package explain

import (
	"encoding/binary"
	"io"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/showjson"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

type entry struct {
	Index int       `json:"index"` // the number that errors and -V use, from 1
	Actor string    `json:"actor"`
	Kind  plan.Kind `json:"kind"`
	Text  string    `json:"text"`
	Why   string    `json:"why,omitempty"`
	Step  any       `json:"step"`
}

// JSON writes the plan as one object: its steps, its cleanup and its notes. A
// step's fields are those of its type in package plan; of a seccomp filter there
// are the number of instructions and, in base64, the array of struct sock_filter
// that the kernel gets. The environment of the command is its names, or with
// secrets NAME=VALUE. Bytes that are no UTF-8 become U+FFFD.
func JSON(to io.Writer, s *launch.Start, secrets bool) error {
	out := struct {
		Plan    []entry  `json:"plan"`
		Cleanup []entry  `json:"cleanup"`
		Notes   []string `json:"notes"`
	}{[]entry{}, []entry{}, append([]string{}, s.Notes...)}
	for i, e := range s.Plan.Entries {
		out.Plan = append(out.Plan, entry{i + 1, e.Actor.String(), e.Step.Kind(), e.Step.String(), e.Why, fields(e.Step, secrets)})
	}
	for i, step := range s.Plan.Cleanup {
		out.Cleanup = append(out.Cleanup, entry{len(s.Plan.Entries) + i + 1, plan.Parent.String(), step.Kind(), step.String(), "after the end", fields(step, secrets)})
	}
	return showjson.Encode(to, out)
}

// fields is what a step is encoded as.
func fields(s plan.Step, secrets bool) any {
	switch s := s.(type) {
	case plan.Exec:
		if secrets {
			return s
		}
		names := make([]string, len(s.Env))
		for i, kv := range s.Env {
			names[i], _, _ = strings.Cut(kv, "=")
		}
		s.Env = names
		return s
	case plan.Seccomp:
		return struct {
			Profile      string
			Instructions int
			Filter       []byte
		}{s.Profile, len(s.Filter), program(s.Filter)}
	}
	return s
}

// program is a filter as it lies in memory; both architectures are little-endian.
func program(filter []unix.SockFilter) []byte {
	b := make([]byte, 0, 8*len(filter))
	for _, f := range filter {
		b = binary.LittleEndian.AppendUint16(b, f.Code)
		b = append(b, f.Jt, f.Jf)
		b = binary.LittleEndian.AppendUint32(b, f.K)
	}
	return b
}
