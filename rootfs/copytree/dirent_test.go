package copytree

import (
	"encoding/binary"
	"slices"
	"testing"
)

// dirent returns a record of getdents64(2).
func dirent(name string) []byte {
	b := make([]byte, 16, 19+len(name)+8)
	b = binary.NativeEndian.AppendUint16(b, uint16((19+len(name)+8)&^7))
	b = append(append(b, 8), name...)
	return append(b, make([]byte, (19+len(name)+8)&^7-len(b))...)
}

func TestDirentNames(t *testing.T) {
	want := []string{"a", "12345", "...", "\xff\n", "x y"}
	var buf []byte
	for _, name := range append([]string{".", ".."}, want...) {
		buf = append(buf, dirent(name)...)
	}
	var got []string
	for name := range direntNames(buf) {
		got = append(got, string(name))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzDirentNames(f *testing.F) {
	f.Add(append(dirent("."), dirent("name")...))
	f.Add(dirent("name")[:21])
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, buf []byte) {
		total := 0
		for name := range direntNames(buf) {
			total += len(name)
			if isDots(name) || slices.Contains(name, 0) {
				t.Errorf("name %q", name)
			}
		}
		if total > len(buf) {
			t.Errorf("%d bytes of names out of %d", total, len(buf))
		}
	})
}
