package container

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/userns"
)

// object is a JSON object from which fields are taken by hand: encoding/json takes longer to learn what a struct of
// Go's looks like than to read one, and a command that runs once learns it for once.
type object struct {
	fields map[string]any
	err    error // the first of a field
}

// parse reads an object.
func parse(text []byte) (*object, error) {
	o := &object{}
	err := json.Unmarshal(text, &o.fields)
	return o, err
}

// field returns what is at a name; the zero T where that is missing or null.
func field[T any](o *object, name string) (v T) {
	any, has := o.fields[name]
	if !has || any == nil {
		return v
	}
	v, is := any.(T)
	if !is && o.err == nil {
		o.err = fmt.Errorf("%s: unexpected %T", name, any)
	}
	return v
}

func (o *object) object(name string) *object { return &object{fields: field[map[string]any](o, name)} }

// within takes over an error of a field that is an object.
func (o *object) within(name string, err error) {
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("%s.%w", name, err)
	}
}

// whole is a whole number of at most 2^53, beyond which JSON has none for sure.
func (o *object) whole(name string) int64 {
	f := field[float64](o, name)
	if f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		o.within(name, fmt.Errorf("%v is no whole number", f))
		return 0
	}
	return int64(f)
}

func (o *object) number(name string) uint64 {
	n := o.whole(name)
	if n < 0 {
		o.within(name, fmt.Errorf("%d is negative", n))
		return 0
	}
	return uint64(n)
}

func (o *object) time(name string) (t time.Time) {
	text := field[string](o, name)
	if text == "" {
		return t
	}
	t, err := time.Parse(time.RFC3339, text)
	if _, offset := t.Zone(); offset == 0 {
		t = t.UTC() // also where that is the local time, and said as +00:00
	}
	o.within(name, err)
	return t
}

func (o *object) ref(name string) Ref {
	in := o.object(name)
	r := Ref{PID: int(in.whole("PID")), Start: in.number("Start"), Boot: field[string](in, "Boot"), PIDNS: in.number("PIDNS")}
	o.within(name, in.err)
	return r
}

// list takes a list apart; nil where there is none.
func list[T any](o *object, name string, of func(any) (T, error)) []T {
	from := field[[]any](o, name)
	if from == nil {
		return nil
	}
	to := make([]T, len(from))
	for i, v := range from {
		var err error
		if to[i], err = of(v); err != nil {
			o.within(name, err)
		}
	}
	return to
}

func asString(v any) (string, error) {
	s, is := v.(string)
	if !is {
		return "", fmt.Errorf("unexpected %T", v)
	}
	return s, nil
}

func asID(v any) (uint32, error) {
	f, is := v.(float64)
	if !is || f != math.Trunc(f) || f < 0 || f > math.MaxUint32 {
		return 0, fmt.Errorf("%v is no id", v)
	}
	return uint32(f), nil
}

// asText is Text.UnmarshalJSON.
func asText(v any) (Text, error) {
	if raw, is := v.(map[string]any); is {
		s, err := asString(raw["base64"])
		if err != nil {
			return "", err
		}
		b, err := base64.StdEncoding.DecodeString(s)
		return Text(b), err
	}
	s, err := asString(v)
	return Text(s), err
}

func (o *object) text(name string) Text {
	v, has := o.fields[name]
	if !has || v == nil {
		return ""
	}
	t, err := asText(v)
	o.within(name, err)
	return t
}

func (o *object) idMap(name string) IDMap {
	texts := list(o, name, asString)
	if texts == nil {
		return nil
	}
	m := make(IDMap, len(texts))
	for i, s := range texts {
		e, err := userns.ParseExtent(s)
		o.within(name, err)
		m[i] = e
	}
	return m
}

func (o *object) capSet(name string) (c CapSet) {
	for _, name := range list(o, name, asString) {
		set, err := caps.Parse(name)
		o.within(name, err)
		c |= CapSet(set)
	}
	return c
}

// UnmarshalJSON implements json.Unmarshaler.
func (s *State) UnmarshalJSON(text []byte) error {
	o, err := parse(text)
	if err != nil {
		return err
	}
	*s = State{
		Owner: o.ref("Owner"), Detached: field[bool](o, "Detached"), Init: o.ref("Init"), Keeper: o.ref("Keeper"),
		StartedAt: o.time("StartedAt"), Cgroup: field[string](o, "Cgroup"), Ports: list(o, "Ports", asString),
		Driver: field[string](o, "Driver"), Fallbacks: list(o, "Fallbacks", asString),
		Rootfs: o.text("Rootfs"), Command: list(o, "Command", asText), CreatedAt: o.time("CreatedAt"),
	}
	return o.err
}

// Entrance reads what a further command of the container needs of its Config; the other fields are zero. The error
// names the file.
func (e *Entry) Entrance() (*Config, error) {
	text, err := readFile(e.dir, configFile)
	var o *object
	if err == nil {
		o, err = parse(text)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", e.path, configFile, leaf(err))
	}
	sets, limits, exec, network := o.object("Capabilities"), o.object("Limits"), o.object("Exec"), o.object("Network")
	asked := limits.object("Asked")
	c := &Config{
		Hostname: field[string](o, "Hostname"), UidMap: o.idMap("UidMap"), GidMap: o.idMap("GidMap"),
		Seccomp: field[string](o, "Seccomp"), NoNewPrivs: field[bool](o, "NoNewPrivs"),
	}
	c.Capabilities.Bounding, c.Capabilities.Ambient = sets.capSet("Bounding"), sets.capSet("Ambient")
	for name := range asked.fields {
		if c.Limits.Asked == nil {
			c.Limits.Asked = make(map[string]string, len(asked.fields))
		}
		c.Limits.Asked[name] = field[string](asked, name)
	}
	c.Exec = Exec{
		UID: uint32(exec.number("UID")), GID: uint32(exec.number("GID")), Groups: list(exec, "Groups", asID),
		Workdir: exec.text("Workdir"), Env: list(exec, "Env", asText), FilterFlags: uint(exec.number("FilterFlags")),
	}
	c.Network.Hosts, c.Network.Resolv = network.text("Hosts"), network.text("Resolv")
	o.within("Network", network.err)
	o.within("Capabilities", sets.err)
	limits.within("Asked", asked.err)
	o.within("Limits", limits.err)
	o.within("Exec", exec.err)
	if o.err != nil {
		return nil, fmt.Errorf("read %s/%s: %w", e.path, configFile, o.err)
	}
	return c, nil
}
