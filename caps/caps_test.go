package caps

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNumbersAreTheKernels(t *testing.T) {
	for name, want := range map[string]int{
		"CHOWN": unix.CAP_CHOWN, "SETPCAP": unix.CAP_SETPCAP, "NET_ADMIN": unix.CAP_NET_ADMIN,
		"SYS_ADMIN": unix.CAP_SYS_ADMIN, "SETFCAP": unix.CAP_SETFCAP, "SYSLOG": unix.CAP_SYSLOG,
		"PERFMON": unix.CAP_PERFMON, "BPF": unix.CAP_BPF, "CHECKPOINT_RESTORE": unix.CAP_CHECKPOINT_RESTORE,
	} {
		set, err := Parse(name)
		if err != nil || set != 1<<want {
			t.Errorf("Parse(%q) = %#x, %v, want bit %d", name, uint64(set), err, want)
		}
	}
	if len(names) != unix.CAP_LAST_CAP+1 {
		t.Errorf("%d names, the headers have %d", len(names), unix.CAP_LAST_CAP+1)
	}
	if CheckpointRestore != 1<<unix.CAP_CHECKPOINT_RESTORE || SysChroot != 1<<unix.CAP_SYS_CHROOT {
		t.Error("the constants do not count as the headers do")
	}
}

func TestEveryNameReadsBack(t *testing.T) {
	for n := range 64 {
		set := Set(1) << n
		name := set.Names()[0]
		for _, form := range []string{name, strings.TrimPrefix(name, "CAP_"), strings.ToLower(name)} {
			if got, err := Parse(form); err != nil || got != set {
				t.Errorf("Parse(%q) = %v, %v", form, got, err)
			}
		}
		if got, ok := Lookup(name); n < len(names) && (!ok || got != set) {
			t.Errorf("Lookup(%q) = %v, %v", name, got, ok)
		}
	}
	for _, s := range []string{"CHOWN", "cap_chown", "CAP_NONE", "CAP_40", ""} {
		if got, ok := Lookup(s); ok {
			t.Errorf("Lookup(%q) = %v, want none", s, got)
		}
	}
}

func TestParseSuggests(t *testing.T) {
	for _, c := range []struct{ name, near string }{
		{"SYS_ADMN", "SYS_ADMIN"},
		{"cap_net_admn", "NET_ADMIN"},
		{"SYSADMIN", "SYS_ADMIN"},
		{"NET-RAW", "NET_RAW"},
		{"SYS_PTARCE", "SYS_PTRACE"},
		{"CHWON", "CHOWN"},
		{"TIME", "SYS_TIME"},
		{"RAW", "NET_RAW"},
		{"ADMIN", ""}, // SYS_ADMIN, NET_ADMIN or MAC_ADMIN
		{"AL", "ALL"},
		{"CAP_ALL", "ALL"},
		{"root", ""},
		{"", ""},
		{"CAP_", ""},
		{"CAP_40", ""},
		{"CAP_64", ""},
		{"CAP_041", ""},
		{"CAP_+41", ""},
		{"CAP_CAP_CHOWN", ""},
		{strings.Repeat("SYS_ADMIN", 1000), ""},
	} {
		_, err := Parse(c.name)
		var unknown *UnknownError
		if !errors.As(err, &unknown) {
			t.Errorf("Parse(%.40q): %v, want an UnknownError", c.name, err)
			continue
		}
		if unknown.Name != c.name || unknown.Near != c.near {
			t.Errorf("Parse(%.40q): name %.40q, near %q, want %q", c.name, unknown.Name, unknown.Near, c.near)
		}
	}
	_, err := Parse("SYS_ADMN")
	if want := `parse capability "SYS_ADMN": no such capability, did you mean SYS_ADMIN?`; err.Error() != want {
		t.Errorf("message %q, want %q", err, want)
	}
}

func TestText(t *testing.T) {
	for _, c := range []struct {
		set  Set
		text string
	}{
		{0, "none"},
		{Kill, "KILL"},
		{Chown | Kill | SysAdmin, "CHOWN,KILL,SYS_ADMIN"},
		{Bpf | 1<<41, "BPF,41"},
		{Default, "CHOWN,DAC_OVERRIDE,FOWNER,FSETID,KILL,SETGID,SETUID,SETPCAP,NET_BIND_SERVICE,SYS_CHROOT,SETFCAP"},
	} {
		if got := c.set.String(); got != c.text {
			t.Errorf("%#x is %q, want %q", uint64(c.set), got, c.text)
		}
		data, err := json.Marshal(c.set)
		if err != nil || string(data) != `"`+c.text+`"` {
			t.Errorf("%v in JSON is %s, %v", c.set, data, err)
		}
		var back Set
		if err := json.Unmarshal(data, &back); err != nil || back != c.set {
			t.Errorf("%s reads back as %v, %v", data, back, err)
		}
	}
	var s Set
	if err := s.UnmarshalText([]byte("KILL,,CHOWN")); err == nil {
		t.Error("an empty name in a list was taken")
	}
}

func TestCompile(t *testing.T) {
	known := UpTo(40)
	for _, c := range []struct {
		add, drop       string
		bounding, added Set
		err             string
	}{
		{"", "", Default, 0, ""},
		{"SYS_ADMIN", "", Default | SysAdmin, SysAdmin, ""},
		{"cap_chown", "", Default, Chown, ""},
		{"", "CHOWN KILL", Default &^ (Chown | Kill), 0, ""},
		{"", "SYS_ADMIN", Default, 0, ""},
		{"NET_RAW", "CHOWN", Default&^Chown | NetRaw, NetRaw, ""},
		{"", "ALL", 0, 0, ""},
		{"NET_RAW", "all", NetRaw, NetRaw, ""},
		{"NET_RAW", "ALL NET_RAW", NetRaw, NetRaw, ""},
		{"ALL", "", known, known, ""},
		{"ALL", "SYS_ADMIN", known &^ SysAdmin, known &^ SysAdmin, ""},
		{"ALL SYS_ADMIN", "SYS_ADMIN", known &^ SysAdmin, known &^ SysAdmin, ""},
		{"ALL", "ALL", 0, 0, "add capability ALL: dropped as well"},
		{"KILL", "KILL", 0, 0, "add capability KILL: dropped as well"},
		{"KILL CHOWN SYSLOG", "CHOWN KILL", 0, 0, "add capability CHOWN,KILL: dropped as well"},
		{"CAP_41", "", 0, 0, "add capability 41: not known to this kernel"},
		{"", "CAP_41", Default, 0, ""},
		{"FOO", "", 0, 0, `parse capability "FOO": no such capability`},
		{"", "SETIUD", 0, 0, `parse capability "SETIUD": no such capability, did you mean SETUID?`},
	} {
		bounding, added, err := Compile(known, strings.Fields(c.add), strings.Fields(c.drop))
		if bounding != c.bounding || added != c.added || text(err) != c.err {
			t.Errorf("add %q drop %q: %v, %v, %v\nwant %v, %v, %s", c.add, c.drop, bounding, added, err, c.bounding, c.added, c.err)
		}
	}
}

func TestCompileKeepsToTheKernel(t *testing.T) {
	// A kernel that is older than the last default, and one newer than this program.
	for _, last := range []int{5, 20, 37, 40, 41, 63} {
		known := UpTo(last)
		for _, add := range [][]string{nil, {"ALL"}, {"KILL"}} {
			bounding, added, err := Compile(known, add, []string{"CHOWN", "CAP_63"})
			if err != nil || bounding&^known != 0 || added&^known != 0 || bounding.Has(Chown) {
				t.Errorf("last %d, add %v: %v, %v, %v", last, add, bounding, added, err)
			}
		}
	}
	if got, _, _ := Compile(UpTo(41), []string{"ALL"}, nil); !got.Has(1 << 41) {
		t.Error("ALL leaves out a capability that is newer than this program")
	}
	if UpTo(-1) != 0 || UpTo(0) != Chown || UpTo(62) != Every>>1 || UpTo(63) != Every || UpTo(99) != Every {
		t.Error("UpTo is wrong at its edges")
	}
}

func TestFor(t *testing.T) {
	bounding, added := Default|NetRaw, NetRaw|SysAdmin
	if got, want := For(0, bounding, added), (Sets{Bounding: bounding, Permitted: bounding, Effective: bounding}); got != want {
		t.Errorf("root: %+v", got)
	}
	want := Sets{Bounding: bounding, Permitted: NetRaw, Effective: NetRaw, Inheritable: NetRaw, Ambient: NetRaw}
	if got := For(1000, bounding, added); got != want {
		t.Errorf("a user with an added one: %+v", got)
	}
	if got := For(1000, bounding, 0); got != (Sets{Bounding: bounding}) {
		t.Errorf("a user without: %+v", got)
	}
}

func TestLastOfThisKernel(t *testing.T) {
	got, err := Last()
	if err != nil {
		t.Fatal(err)
	}
	want, err := readLast(lastFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("prctl says %d, %s says %d", got, lastFile, want)
	}
}

func TestLastOfOtherKernels(t *testing.T) {
	for _, want := range []int{0, 31, 37, 39, 40, 41, 62, 63} {
		got, err := last(func(n int) (bool, error) { return n <= want, nil }, "/nonexistent")
		if got != want || err != nil {
			t.Errorf("a kernel with %d: %d, %v", want, got, err)
		}
	}
}

func TestLastWithoutPrctl(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cap_last_cap")
	refused := func(int) (bool, error) { return false, unix.EPERM }
	late := func(n int) (bool, error) {
		if n > 40 {
			return false, unix.EPERM
		}
		return true, nil
	}
	for _, c := range []struct {
		text string
		want int
		err  string
	}{
		{"37\n", 37, ""},
		{"0", 0, ""},
		{"64\n", 0, "parse " + file + ": not a number from 0 to 63"},
		{"-1\n", 0, "parse " + file + ": not a number from 0 to 63"},
		{"", 0, "parse " + file + ": not a number from 0 to 63"},
		{strings.Repeat("1", 1<<20), 0, "parse " + file + ": not a number from 0 to 63"},
	} {
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, knows := range []func(int) (bool, error){refused, late} {
			if got, err := last(knows, file); got != c.want || text(err) != c.err {
				t.Errorf("file %.10q: %d, %v", c.text, got, err)
			}
		}
	}
	if _, err := last(refused, file+".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestNumbersAndNames(t *testing.T) {
	s := Chown | Kill | CheckpointRestore
	if got := s.Numbers(); !reflect.DeepEqual(got, []int{0, 5, 40}) {
		t.Errorf("numbers %v", got)
	}
	if got := s.Names(); !reflect.DeepEqual(got, []string{"CAP_CHOWN", "CAP_KILL", "CAP_CHECKPOINT_RESTORE"}) {
		t.Errorf("names %v", got)
	}
	if !s.Has(Chown|Kill) || s.Has(Chown|Setuid) {
		t.Error("Has is wrong")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"ALL", "cap_sys_admin", "SYS_ADMN", "CAP_41", "", "Ä"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		set, err := Parse(s)
		if err != nil {
			if set != 0 || strings.ContainsAny(err.Error(), "\n\r") {
				t.Errorf("Parse(%q) = %v, %q", s, set, err)
			}
			return
		}
		if set == Every {
			return
		}
		if back, err := Parse(set.String()); back != set || err != nil {
			t.Errorf("Parse(%q) = %v, which reads back as %v, %v", s, set, back, err)
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
