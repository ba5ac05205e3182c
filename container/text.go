package container

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// Text is a string of any bytes, as paths, arguments and variables are. In JSON it is a string where it is valid
// UTF-8, else an object {"base64": "…"}: encoding/json would replace what is not.
type Text string

// Texts makes a list of them.
func Texts(list []string) []Text {
	out := make([]Text, len(list))
	for i, s := range list {
		out[i] = Text(s)
	}
	return out
}

// Strings is the opposite of Texts.
func Strings(list []Text) []string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return out
}

type rawText struct {
	Base64 []byte `json:"base64"`
}

// MarshalJSON implements json.Marshaler.
func (t Text) MarshalJSON() ([]byte, error) {
	if !utf8.ValidString(string(t)) {
		return json.Marshal(rawText{[]byte(t)})
	}
	// Not Marshal, which writes < > & as what only HTML needs: people read command lines here.
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	err := to.Encode(string(t))
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// UnmarshalJSON implements json.Unmarshaler.
func (t *Text) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '{' {
		var raw rawText
		err := json.Unmarshal(b, &raw)
		*t = Text(raw.Base64)
		return err
	}
	return json.Unmarshal(b, (*string)(t))
}

// IDMap is an id map. In JSON it is a list of texts INSIDE:OUTSIDE:COUNT, as --uidmap takes them.
type IDMap []plan.Extent

// MarshalJSON implements json.Marshaler.
func (m IDMap) MarshalJSON() ([]byte, error) {
	list := make([]string, len(m))
	for i, e := range m {
		list[i] = fmt.Sprintf("%d:%d:%d", e.Inside, e.Outside, e.Count)
	}
	return json.Marshal(list)
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *IDMap) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*m = make(IDMap, 0, len(list))
	for _, s := range list {
		e, err := userns.ParseExtent(s)
		if err != nil {
			return err
		}
		*m = append(*m, e)
	}
	return nil
}

// CapSet is a set of capabilities. In JSON it is a list of names.
type CapSet caps.Set

// MarshalJSON implements json.Marshaler.
func (s CapSet) MarshalJSON() ([]byte, error) { return json.Marshal(caps.Set(s).Names()) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *CapSet) UnmarshalJSON(b []byte) error {
	var list []string
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	*s = 0
	for _, name := range list {
		c, err := caps.Parse(name)
		if err != nil {
			return err
		}
		*s |= CapSet(c)
	}
	return nil
}
