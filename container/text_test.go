package container

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/internal/keeper"
	"github.com/rl-run/rl-run/internal/showjson"
)

func TestCheckName(t *testing.T) {
	for name, want := range map[string]bool{
		"db": true, "0": true, "Web.1_a-b": true, strings.Repeat("a", 63): true,
		"": false, ".": false, "..": false, ".new": false, "-f": false, "_": false, "a/b": false, "a b": false,
		"a\n": false, "ä": false, "a\x00": false, strings.Repeat("a", 64): false,
	} {
		err := CheckName(name)
		var bad *NameError
		if (err == nil) != want || err != nil && !errors.As(err, &bad) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestDerived(t *testing.T) {
	for base, want := range map[string]string{
		"debian": "debian", "my tree": "my-tree", "": "container", "..": "container", "/": "container",
		"ubuntu:22.04": "ubuntu-22.04", ".hidden": "hidden", "tree.": "tree", strings.Repeat("x", 300): strings.Repeat("x", 58),
	} {
		name := derived(base)
		if CheckName(name) != nil || !strings.HasPrefix(name, want+"-") || len(name) != len(want)+5 {
			t.Errorf("%q: %q", base, name)
		}
	}
}

func TestConfigKeepsAllBytes(t *testing.T) {
	s, _ := newStore(t)
	e := reserve(t, s, Request{Base: "a tree"})
	want := Config{
		Name: e.Name, Rootfs: "/\xff\x00", Command: Texts([]string{"sh", "-c", "\xc3\x28\n<&>"}), CreatedAt: time.Unix(1, 2).UTC(),
		UidMap: IDMap{{Inside: 0, Outside: 1000, Count: 1}, {Inside: 1, Outside: 100000, Count: 65536}}, GidMap: IDMap{},
		Capabilities: Capabilities{Bounding: CapSet(caps.Default), Ambient: CapSet(1 << 62)},
		Exec:         Exec{UID: 4294967294, Groups: []uint32{1}, Env: Texts([]string{"A=\x80", "B=b"})},
	}
	if err := e.WriteConfig(&want); err != nil {
		t.Fatal(err)
	}
	got, err := e.Config()
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("%+v\nwant %+v", *got, want)
	}
	text, err := json.Marshal(want.UidMap)
	if err != nil || string(text) != `["0:1000:1","1:100000:65536"]` {
		t.Errorf("%s, %v", text, err)
	}
	if s := Strings(want.Exec.Env); s[0] != "A=\x80" {
		t.Errorf("%q", s)
	}
}

func TestTextIsReadable(t *testing.T) {
	var b bytes.Buffer
	if err := showjson.Encode(&b, Texts([]string{`sh -c "a <b >c && d"`, "\x1b[31m"})); err != nil {
		t.Fatal(err)
	}
	if want := `"sh -c \"a <b >c && d\""`; !strings.Contains(b.String(), want) || strings.Contains(b.String(), "\x1b") {
		t.Errorf("got %s, want %s in it", b.String(), want)
	}
}

func TestExitLine(t *testing.T) {
	for _, want := range []Exit{
		{Code: 0, At: time.Unix(0, 0)},
		{Code: 255, At: time.Unix(1700000000, 999999999), Dropped: 1<<64 - 1},
	} {
		line := want.line()
		if got, ok := parseExit(line); !ok || got.Code != want.Code || !got.At.Equal(want.At) || got.Dropped != want.Dropped {
			t.Errorf("%q: %+v, %v", line, got, ok)
		}
		if len(line) != len(keeper.EmptyExit()) {
			t.Errorf("%q has %d bytes", line, len(line))
		}
	}
	if len(Exit{Code: 3}.line()) != len(keeper.EmptyExit()) {
		t.Errorf("%q", Exit{Code: 3}.line())
	}
}

// Nothing that is in the files brings a reader down.
func FuzzFiles(f *testing.F) {
	f.Add([]byte(`{"Owner":{"PID":1,"Start":2,"Boot":"x","PIDNS":3},"Init":{"PID":7}}`), []byte(`{"UidMap":["0:0:1"],"Env":[{"base64":"/w=="}]}`), keeper.EmptyExit())
	f.Add([]byte(`{"Detached":true,"CreatedAt":"2026-01-01T00:00:00Z"}`), []byte(`{"Capabilities":{"Bounding":["CAP_CHOWN"]}}`), Exit{Code: 7}.line())
	f.Add([]byte(`{"Init":{"PID":-1}}`), []byte(`null`), []byte{})
	f.Fuzz(func(t *testing.T, state, config, exit []byte) {
		s, dir := newStore(t)
		e := reserve(t, s, Request{Name: "db"})
		c := dir + "/rl-run/c/db/"
		put(t, c+"state.json", string(state))
		put(t, c+"config.json", string(config))
		put(t, c+"exit", string(exit))
		if err := e.Refresh(); err != nil {
			t.Fatal(err)
		}
		if (e.Status == Damaged) != (e.Damage != nil) {
			t.Errorf("%s, %v", e.Status, e.Damage)
		}
		_, _ = e.Config()
		if p, err := e.Open(); err == nil {
			p.Close()
		}
		if err := e.Remove(); err != nil {
			t.Error(err)
		}
	})
}
