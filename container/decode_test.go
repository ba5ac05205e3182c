package container

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// populate gives each field of a value something that is not zero.
func populate(v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(int64(1e9+*n), 123456789).UTC()))
		return
	case CapSet:
		v.Set(reflect.ValueOf(CapSet(1<<(*n%40) | 1)))
		return
	case Text:
		v.SetString(strings.Repeat("x\xff", *n%3+1))
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for _, f := range v.Fields() {
			populate(f, n)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			populate(v.Index(i), n)
		}
	case reflect.Map:
		value := reflect.New(v.Type().Elem()).Elem()
		populate(value, n)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("ulimit"), value)
	case reflect.String:
		v.SetString(strings.Repeat("é", *n%5+1))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int:
		v.SetInt(int64(*n))
	case reflect.Uint, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(*n))
	default:
		panic(v.Kind())
	}
}

// Each field of a State is read that is written.
func TestStateReadsBack(t *testing.T) {
	var want, got State
	populate(reflect.ValueOf(&want).Elem(), new(int))
	text, err := encode(&want)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
	for _, bad := range []string{
		"", "{", "[]", "7", `{"Init":7}`, `{"Init":{"PID":"1"}}`, `{"Init":{"Start":-1}}`, `{"Init":{"PID":1.5}}`, `{"Init":{"PID":1e300}}`,
		`{"CreatedAt":"now"}`, `{"Command":"sh"}`, `{"Command":[1]}`, `{"Rootfs":{"base64":"!"}}`, `{"Detached":"yes"}`,
	} {
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("%s is read as %+v", bad, got)
		}
	}
	if err := json.Unmarshal([]byte(`{"Init":null,"Later":[{}],"Rootfs":"/a"}`), &got); err != nil || !reflect.DeepEqual(got, State{Rootfs: "/a"}) {
		t.Errorf("%v: %+v", err, got)
	}
}

// What Entrance reads is what Config reads.
func TestEntrance(t *testing.T) {
	s, _ := newStore(t)
	e := reserve(t, s, Request{Name: "a"})
	var config Config
	populate(reflect.ValueOf(&config).Elem(), new(int))
	if err := e.WriteConfig(&config); err != nil {
		t.Fatal(err)
	}
	whole, err := e.Config()
	if err != nil {
		t.Fatal(err)
	}
	got, err := e.Entrance()
	if err != nil {
		t.Fatal(err)
	}
	want := &Config{
		Hostname: whole.Hostname, UidMap: whole.UidMap, GidMap: whole.GidMap, Seccomp: whole.Seccomp, NoNewPrivs: whole.NoNewPrivs,
		Limits: Limits{Asked: whole.Limits.Asked}, Exec: whole.Exec,
		Network:      Network{Hosts: whole.Network.Hosts, Resolv: whole.Network.Resolv},
		Capabilities: Capabilities{Bounding: whole.Capabilities.Bounding, Ambient: whole.Capabilities.Ambient},
	}
	want.Exec.User, want.Exec.Terminal = "", false
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, bad := range []string{"{", `{"UidMap":["1:2"]}`, `{"Capabilities":{"Bounding":["NONE"]}}`, `{"Exec":{"UID":-1}}`, `{"Network":{"Resolv":1}}`, `{"Exec":{"Env":[3]}}`, `{"Limits":{"Asked":{"ulimit":1}}}`} {
		if err := replaceFile(e.dir, configFile, []byte(bad)); err != nil {
			t.Fatal(err)
		}
		if got, err := e.Entrance(); err == nil || !strings.Contains(err.Error(), "config.json: ") {
			t.Errorf("%s is read as %+v, %v", bad, got, err)
		}
	}
}

// What a state says that can be read, it says again when it is written; what cannot be read is told in one line.
func FuzzState(f *testing.F) {
	var whole State
	populate(reflect.ValueOf(&whole).Elem(), new(int))
	text, err := encode(&whole)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte(`{"Init":{"PID":-1,"Start":9007199254740992},"Command":["sh",{"base64":"/w=="}],"CreatedAt":"2026-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"Init":null,"Later":[{}],"Rootfs":"/a\n\u009b31m"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var first, second State
		if err := json.Unmarshal(text, &first); err != nil {
			if strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("more than a line: %q", err)
			}
			return
		}
		again, err := encode(&first)
		if err != nil {
			return // a time beyond the year 9999
		}
		if err := json.Unmarshal(again, &second); err != nil || !reflect.DeepEqual(first, second) {
			t.Errorf("%v\nread    %+v\nwritten %s\nread    %+v", err, first, again, second)
		}
	})
}
