package passwd

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const somePasswd = `root:x:0:0:root:/root:/bin/bash
# a comment:x:7:7::/:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
+::::::
bad:x:minus:1::/:/bin/sh
toolarge:x:4294967295:1::/:/bin/sh
largest:x:4294967294:4294967294::/:/bin/sh
alice:x:1000:1001:Alice,,,:/home/alice:/bin/zsh
alice:x:2000:2000:second entry:/:/bin/sh
1234:x:55:55:a name of digits:/digits:/bin/sh
short:x:60:61
nohome:x:62:63:::

`

const someGroup = `root:x:0:
wheel:x:10:root,alice
audio:x:29:alice
alice:x:1001:
also:x:29:alice
none:x:30:alicea,lice,ALICE
short:x:61
broken:x:x:alice
`

func TestResolve(t *testing.T) {
	root := Entry{Name: "root", Home: "/root", Shell: "/bin/bash"}
	alice := Entry{Name: "alice", UID: 1000, GID: 1001, Home: "/home/alice", Shell: "/bin/zsh"}
	for _, c := range []struct {
		value string
		want  User
	}{
		{"", User{Entry: root}},
		{"root", User{root, []uint32{0, 10}}},
		{"0", User{root, []uint32{0, 10}}},
		{"alice", User{alice, []uint32{10, 29, 1001}}},
		{"1000", User{alice, []uint32{10, 29, 1001}}},
		{"01000", User{alice, []uint32{10, 29, 1001}}},
		{"1234", User{Entry{UID: 1234, Home: "/"}, []uint32{0}}},
		{"1234:30", User{Entry{UID: 1234, GID: 30, Home: "/"}, []uint32{30}}},
		{"alice:audio", User{Entry{"alice", 1000, 29, "/home/alice", "/bin/zsh"}, []uint32{29}}},
		{"alice:77", User{Entry{"alice", 1000, 77, "/home/alice", "/bin/zsh"}, []uint32{77}}},
		{"5:wheel", User{Entry{UID: 5, GID: 10, Home: "/"}, []uint32{10}}},
		{"short", User{Entry{"short", 60, 61, "/", ""}, []uint32{61}}},
		{"nohome", User{Entry{"nohome", 62, 63, "/", ""}, []uint32{63}}},
		{"largest", User{Entry{"largest", MaxID, MaxID, "/", "/bin/sh"}, []uint32{MaxID}}},
		{"4294967294:0", User{Entry{"largest", MaxID, 0, "/", "/bin/sh"}, []uint32{0}}},
	} {
		var spec Spec
		if c.value != "" {
			var err error
			if spec, err = ParseSpec(c.value); err != nil {
				t.Errorf("ParseSpec(%q): %v", c.value, err)
				continue
			}
		}
		got, err := spec.Resolve([]byte(somePasswd), []byte(someGroup))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("-u %s: %+v, %v; want %+v", c.value, got, err, c.want)
		}
	}
}

func TestResolveWithoutFiles(t *testing.T) {
	got, err := Spec{}.Resolve(nil, nil)
	if want := (User{Entry: Entry{Home: "/"}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("no -u: %+v, %v", got, err)
	}
	got, err = Spec{User: "5", Group: "6"}.Resolve(nil, nil)
	if want := (User{Entry{UID: 5, GID: 6, Home: "/"}, []uint32{6}}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("-u 5:6: %+v, %v", got, err)
	}
}

func TestRootGroupIsZeroUnlessAsked(t *testing.T) {
	file := []byte("root:x:0:5::/root:/bin/sh\n")
	if u, _ := (Spec{}).Resolve(file, nil); u.GID != 0 {
		t.Errorf("no -u: group %d", u.GID)
	}
	if u, _ := (Spec{User: "root"}).Resolve(file, nil); u.GID != 5 {
		t.Errorf("-u root: group %d", u.GID)
	}
}

func TestMessages(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"rooot", `unknown user "rooot" (did you mean "root"?)`},
		{"Alice", `unknown user "Alice" (did you mean "alice"?)`},
		{"alcie", `unknown user "alcie" (did you mean "alice"?)`},
		{"zzz", `unknown user "zzz"`},
		{"bad", `unknown user "bad"`},
		{"toolarge", `unknown user "toolarge"`},
		{"#", `unknown user "#"`},
		{"a\x1b[2J", `unknown user "a\x1b[2J"`},
		{"root:whel", `unknown group "whel" (did you mean "wheel"?)`},
		{"root:broken", `unknown group "broken"`},
		{strings.Repeat("a", 40), `unknown user "` + strings.Repeat("a", 40) + `"`},
		{":", `malformed user ":" (expected USER[:GROUP], each a name or an id)`},
		{"root:", `malformed user "root:" (expected USER[:GROUP], each a name or an id)`},
		{":root", `malformed user ":root" (expected USER[:GROUP], each a name or an id)`},
		{"a:b:c", `malformed user "a:b:c" (expected USER[:GROUP], each a name or an id)`},
		{"-1", `user id -1 out of range (expected 0 to 4294967294)`},
		{"4294967295", `user id 4294967295 out of range (expected 0 to 4294967294)`},
		{"0:99999999999999999999999", `group id 99999999999999999999999 out of range (expected 0 to 4294967294)`},
	} {
		spec, err := ParseSpec(c.value)
		if err == nil {
			_, err = spec.Resolve([]byte(somePasswd), []byte(someGroup))
		}
		if err == nil || err.Error() != c.want {
			t.Errorf("-u %s: %v; want %s", c.value, err, c.want)
		}
	}
	_, err := Spec{User: "x"}.Resolve(nil, nil)
	if want := `unknown user "x" (the root has no /etc/passwd entries; an id works)`; err.Error() != want {
		t.Errorf("no files: %v", err)
	}
	_, err = Spec{User: "1", Group: "x"}.Resolve(nil, nil)
	if want := `unknown group "x" (the root has no /etc/group entries; an id works)`; err.Error() != want {
		t.Errorf("no files: %v", err)
	}
	var u *UnknownError
	if !errors.As(err, &u) || !u.Missing || u.Kind != "group" {
		t.Errorf("no files: %#v", err)
	}
}

func TestNearNameIsFitForATerminal(t *testing.T) {
	file := []byte("rooo\x1b:x:1:1::/:\nroo\"t:x:2:2::/:\n")
	_, err := Spec{User: "rooot"}.Resolve(file, nil)
	if want := `unknown user "rooot"`; err.Error() != want {
		t.Errorf("%v; want %s", err, want)
	}
}

func TestAddGroups(t *testing.T) {
	u, err := Spec{User: "alice"}.Resolve([]byte(somePasswd), []byte(someGroup))
	if err != nil {
		t.Fatal(err)
	}
	before := len(u.Groups)
	more, err := u.AddGroups([]byte(someGroup), "none", "5", "audio")
	if want := []uint32{5, 10, 29, 30, 1001}; err != nil || !reflect.DeepEqual(more.Groups, want) {
		t.Errorf("%v, %v; want %v", more.Groups, err, want)
	}
	if len(u.Groups) != before {
		t.Errorf("the user that was added to changed: %v", u.Groups)
	}
	if _, err = u.AddGroups([]byte(someGroup), "audoi"); err == nil ||
		err.Error() != `unknown group "audoi" (did you mean "audio"?)` {
		t.Errorf("audoi: %v", err)
	}
	if _, err = u.AddGroups(nil, "4294967295"); err == nil {
		t.Error("group 4294967295 was taken")
	}
	zero, err := User{}.AddGroups(nil, "7")
	if want := []uint32{0, 7}; err != nil || !reflect.DeepEqual(zero.Groups, want) {
		t.Errorf("%v, %v; want %v", zero.Groups, err, want)
	}
}

func TestTooManyGroups(t *testing.T) {
	var file []byte
	for id := range maxGroups + 1 {
		file = append(file, "g::"...)
		for _, d := range []int{10000, 1000, 100, 10, 1} {
			file = append(file, byte('0'+id/d%10))
		}
		file = append(file, ":u\n"...)
	}
	_, err := Spec{User: "u"}.Resolve([]byte("u::1:1::/:"), file)
	if !errors.Is(err, errTooManyGroups) {
		t.Errorf("%v; want %v", err, errTooManyGroups)
	}
}

func TestRead(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, size int64) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(somePasswd), 0o600); err != nil {
			t.Fatal(err)
		}
		if size > 0 {
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		path string
		size int
		err  error
	}{
		{write("passwd", 0), len(somePasswd), nil},
		{write("limit", Limit), Limit, nil},
		{write("beyond", Limit+1), 0, ErrTooLarge},
		{write("huge", 1<<30), 0, ErrTooLarge},
		{fifo, 0, ErrNotRegular},
		{dir, 0, ErrNotRegular},
		{"/dev/zero", 0, ErrNotRegular},
		{"/proc/self/status", -1, nil}, // its size is said to be 0
	} {
		fd, err := unix.Open(c.path, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Read(fd, "passwd")
		_ = unix.Close(fd)
		if !errors.Is(err, c.err) {
			t.Errorf("%s: %v; want %v", c.path, err, c.err)
		}
		if c.err != nil && err.Error() != "read passwd: "+c.err.Error() {
			t.Errorf("%s: message %q", c.path, err)
		}
		if c.size >= 0 && len(got) != c.size || c.size < 0 && len(got) == 0 {
			t.Errorf("%s: %d bytes; want %d", c.path, len(got), c.size)
		}
	}
	if _, err := Read(-1, "group"); !errors.Is(err, unix.EBADF) || !strings.HasPrefix(err.Error(), "read group: ") {
		t.Errorf("no fd: %v", err)
	}
}

// A file may grow between the look at its size and the end of the read.
func TestReadIsBoundedWhileTheFileGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "passwd")
	if err := os.WriteFile(path, make([]byte, Limit), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for range 64 {
			select {
			case <-stop:
				return
			default:
				_, _ = f.Write(make([]byte, 64<<10))
			}
		}
	}()
	content, err := Read(int(f.Fd()), "passwd")
	close(stop)
	<-stopped
	if err == nil && len(content) > Limit || err != nil && !errors.Is(err, ErrTooLarge) {
		t.Errorf("%d bytes, %v", len(content), err)
	}
}

// The names of a file of hostile size are looked at for a bounded time only.
func BenchmarkUnknownInTheLargestFile(b *testing.B) {
	file := []byte(strings.Repeat("abcdefghi:x:1:1::/:\n", Limit/20))
	for b.Loop() {
		_ = unknownUser("abcdefxxx", file)
	}
}

func BenchmarkResolve(b *testing.B) {
	passwd := []byte(strings.Repeat("daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n", 30) + somePasswd)
	group := []byte(strings.Repeat("daemon:x:1:\n", 50) + someGroup)
	for b.Loop() {
		if _, err := (Spec{User: "alice"}).Resolve(passwd, group); err != nil {
			b.Fatal(err)
		}
	}
}

// A value of /proc/sys is what the first read takes of it.
func TestReadOfSysctl(t *testing.T) {
	const name = "/proc/sys/kernel/osrelease"
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := Read(int(f.Fd()), name); err != nil || string(got) != string(want) || len(got) < 3 {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}
