package mountspec

import (
	"encoding/csv"
	"errors"
	"path"
	"slices"
	"strings"
	"testing"
	"unicode"
)

// checkMount holds what must be true of every mount that a parser returns.
func checkMount(t *testing.T, m Mount) {
	t.Helper()
	p := m.MountPoint()
	if !strings.HasPrefix(p, "/") || p == "/" || path.Clean(p) != p || strings.Contains(p, "\x00") {
		t.Fatalf("mount point %q of %+v", p, m)
	}
	var again Mount
	var err error
	if m.Flag() == "--device" {
		again, err = ParseDevice(m.String())
	} else {
		again, err = ParseMount(m.String())
	}
	if err != nil || again != m {
		t.Fatalf("%+v prints as %q, which parses to %+v, %v", m, m.String(), again, err)
	}
}

// checkError holds what must be true of every message: one line, no escape
// sequence of a terminal, and the option first.
func checkError(t *testing.T, err error, flag, value string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Flag != flag || e.Value != value || e.Reason == "" || !strings.HasPrefix(err.Error(), flag+" ") {
		t.Fatalf("error %#v", err)
	}
	if strings.ContainsFunc(err.Error(), func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Fatalf("message %q", err)
	}
}

func FuzzVolume(f *testing.F) {
	for _, s := range []string{"/a:/b", "./a:/b/../c:ro,noexec,bind,slave", "a:/b", ".:/x:z", "/a:/b:ro:rw", "/a:/..", "\x00:/b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		b, err := ParseVolume(value)
		if err != nil {
			checkError(t, err, "-v", value)
			return
		}
		checkMount(t, b)
		if !strings.HasPrefix(value, b.Source+":") {
			t.Fatalf("%q has source %q", value, b.Source)
		}
	})
}

func FuzzMount(f *testing.F) {
	for _, s := range []string{
		"type=bind,src=/a,dst=/b", `"source=/a,""b""",dst=/b,type=bind,readonly,bind-propagation=rslave`,
		"type=tmpfs,dst=/t,tmpfs-size=1.5g,tmpfs-mode=0,exec,ro=false", "type=tmpfs,destination=/t:x,tmpfs-uid=1", `type=bind,"`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		m, err := ParseMount(value)
		if err != nil {
			checkError(t, err, "--mount", value)
			return
		}
		checkMount(t, m)
	})
}

func FuzzTmpfs(f *testing.F) {
	for _, s := range []string{"/t", "/t:size=50m,mode=700,uid=1,gid=2,nr_inodes=3,exec,ro", "/t:size=0", "/t/../..:"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		m, err := ParseTmpfs(value)
		if err != nil {
			checkError(t, err, "--tmpfs", value)
			return
		}
		checkMount(t, m)
		if m.Mode > 0o7777 || m.Size > MaxSize {
			t.Fatalf("%+v", m)
		}
	})
}

func FuzzDevice(f *testing.F) {
	for _, s := range []string{"/dev/fuse", "/dev/a:/dev/b:rwm", "/dev/a:rw", "/dev/a:m", "/dev/../..:x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		d, err := ParseDevice(value)
		if err != nil {
			checkError(t, err, "--device", value)
			return
		}
		checkMount(t, d)
		if path.Clean(d.Source) != d.Source || d.Source[0] != '/' {
			t.Fatalf("%+v", d)
		}
	})
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"1", "50m", "1.5g", "8191.9p", "9223372036854775807", "0.1 KiB", "-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		size, err := ParseSize(s)
		if err != nil {
			return
		}
		if size == 0 || size > MaxSize {
			t.Fatalf("%q: %d", s, size)
		}
		if whole, ok := strings.CutSuffix(s, "k"); ok && size>>10 < MaxSize>>20 {
			if mega, err := ParseSize(whole + "m"); err != nil || mega>>10 < size {
				t.Fatalf("%q: %d, but with m: %d, %v", s, size, mega, err)
			}
		}
	})
}

// FuzzFields compares with the reader that docker uses. Line ends are left out:
// that one takes the first line and drops the rest.
func FuzzFields(f *testing.F) {
	for _, s := range []string{"a,b", `"a,b",c`, `"a""b"`, `a"b`, `"a"b`, `"`, ",", `"",`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		if line == "" || strings.ContainsAny(line, "\r\n") {
			return
		}
		got, err := splitFields(line)
		want, wantErr := csv.NewReader(strings.NewReader(line)).Read()
		if (err == nil) != (wantErr == nil) || err == nil && !slices.Equal(got, want) {
			t.Fatalf("%q: %q, %v; want %q, %v", line, got, err, want, wantErr)
		}
		if err != nil {
			return
		}
		if again, err := splitFields(joinFields(got)); err != nil || !slices.Equal(again, got) {
			t.Fatalf("%q: joined %q, split again %q, %v", line, joinFields(got), again, err)
		}
	})
}
