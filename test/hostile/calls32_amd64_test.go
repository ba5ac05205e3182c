package hostile

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// calls32 are system calls by numbers of i386, which any program of this machine may make. socketcall(2) has what
// matters in memory, where no filter can look.
var calls32 = []struct {
	name         string
	number       uintptr
	family, kind uint32
	byDefault    unix.Errno
}{
	{"socket AF_ALG", socket32, unix.AF_ALG, unix.SOCK_SEQPACKET, unix.EPERM},
	{"socket AF_VSOCK", socket32, unix.AF_VSOCK, unix.SOCK_STREAM, unix.EPERM},
	{"socket AF_UNIX", socket32, unix.AF_UNIX, unix.SOCK_STREAM, 0},
	{"socketcall AF_ALG", socketcall32, unix.AF_ALG, unix.SOCK_SEQPACKET, unix.EPERM},
	{"socketcall AF_VSOCK", socketcall32, unix.AF_VSOCK, unix.SOCK_STREAM, unix.EPERM},
	{"socketcall AF_UNIX", socketcall32, unix.AF_UNIX, unix.SOCK_STREAM, unix.EPERM},
}

const socket32, socketcall32 = 359, 102

// attackCalls32 makes them from code that it writes itself: Go passes the first arguments of a function in the registers
// in which i386 has them, and expects the result in the same.
func attackCalls32([]string) error {
	page, err := unix.MmapPtr(-1, 0, nil, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_32BIT)
	if err != nil {
		return err
	}
	const words = 64 // where socketcall's arguments are; the code is before
	memory := unsafe.Slice((*byte)(page), 4096)
	copy(memory, "\x31\xd2\xcd\x80\xc3") // xor %edx, %edx; int $0x80; ret
	found := map[string]unix.Errno{}
	for _, c := range calls32 {
		args := [3]uint32{c.family, c.kind, 0}
		copy(unsafe.Slice((*uint32)(unsafe.Add(page, words)), len(args)), args[:])
		if err := unix.Mprotect(memory, unix.PROT_READ|unix.PROT_EXEC); err != nil {
			return err
		}
		code := &page
		enter := *(*func(number, a, b uintptr) uintptr)(unsafe.Pointer(&code))
		a, b := uintptr(c.family), uintptr(c.kind)
		if c.number == socketcall32 {
			const makeSocket = 1
			a, b = makeSocket, uintptr(page)+words
		}
		got := int32(enter(c.number, a, b))
		if err := unix.Mprotect(memory, unix.PROT_READ|unix.PROT_WRITE); err != nil {
			return err
		}
		found[c.name] = unix.Errno(max(-got, 0))
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func init() { attacks["calls32"] = attackCalls32 }

// TestCalls32 is TestCalls for the numbers of i386.
func TestCalls32(t *testing.T) {
	tree := begin(t)
	decode := func(text string) (found map[string]unix.Errno) {
		check(t, json.Unmarshal([]byte(text), &found))
		return found
	}
	free := outside(t, "calls32", rooted(t)).Run(t)
	if strings.Contains(free.Stderr, "SIGSEGV") {
		t.Skip("the kernel has no system calls of i386")
	}
	control := decode(free.OK(t))
	byDefault := decode(inside(t, "calls32", tree, nil).Run(t).OK(t))
	nested := decode(inside(t, "calls32", tree, []string{"--nest"}).Run(t).OK(t))
	withoutFilter := decode(inside(t, "calls32", tree, unconfined).Run(t).OK(t))
	for _, c := range calls32 {
		if byDefault[c.name] != c.byDefault || nested[c.name] != c.byDefault {
			t.Errorf("%s: by default %d, with --nest %d, want %d", c.name, byDefault[c.name], nested[c.name], c.byDefault)
		}
		got := control[c.name] // the kernel may have been built without the family
		if withoutFilter[c.name] != got || got != 0 && (c.family == unix.AF_UNIX || got != unix.EAFNOSUPPORT) {
			t.Errorf("%s: unconfined %d, control %d", c.name, withoutFilter[c.name], got)
		}
	}
}
