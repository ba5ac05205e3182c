package plan

import (
	"encoding/binary"
	"errors"
	"math/bits"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

func checkStepError(t *testing.T, err error, index int, want error) {
	t.Helper()
	var failed *StepError
	if !errors.As(err, &failed) {
		t.Fatalf("no step failed, want %v of step %d: %v", want, index, err)
	}
	if failed.Index != index || !errors.Is(failed.Err, want) {
		t.Fatalf("step %d failed: %v; want %v of step %d", failed.Index, failed, want, index)
	}
}

// The assembly knows the offsets of the structures from go_asm.h; what it knows
// itself is that six arguments follow each other, and that a record is the two
// words behind each other in machine. The kernel knows the size of cloneArgs.
func TestLayouts(t *testing.T) {
	var o op
	var m machine
	for _, c := range []struct {
		what      string
		got, want uintptr
	}{
		{"size of an argument", unsafe.Sizeof(o.arg[0]), 8},
		{"size of arg", unsafe.Sizeof(o.arg), 48},
		{"alignment of op", unsafe.Sizeof(o) % 8, 0},
		{"opSize", uintptr(opSize), unsafe.Sizeof(o)},
		{"size of deref", unsafe.Sizeof(o.deref), 4},
		{"size of kind", unsafe.Sizeof(o.kind), 4},
		{"size of jump1", unsafe.Sizeof(o.jump1), 4},
		{"size of step", unsafe.Sizeof(o.step), 4},
		{"machine.step to machine.errno", unsafe.Offsetof(m.errno) - unsafe.Offsetof(m.step), 4},
		{"size of machine.step and errno", unsafe.Sizeof(m.step) + unsafe.Sizeof(m.errno), 8},
		{"machine.command.Fd", unsafe.Offsetof(m.command.Fd), 0},
		{"size of machine.command", unsafe.Sizeof(m.command), 8},
		{"CLONE_ARGS_SIZE_VER1", unsafe.Sizeof(cloneArgs{}), 80},
	} {
		if c.got != c.want {
			t.Errorf("%s is %d, want %d", c.what, c.got, c.want)
		}
	}
}

// badFD is an fd that no process has.
const badFD = 1 << 20

// interpreterCases are programs that end either by an exit with a code or by a report
// of an errno.
var interpreterCases = []struct {
	name string
	ops  func(p *program)
	code int
	err  error
}{
	{"an errno ends the child", func(p *program) { p.close(lit(badFD)) }, 0, unix.EBADF},
	{"an errno above 63 ends the child", func(p *program) {
		p.call(unix.SYS_SOCKET, lit(999), lit(0), lit(0)).mask1 = ^uint64(0)
	}, 0, unix.EAFNOSUPPORT},
	{"a literal", func(p *program) { exit(p, lit(42)) }, 42, nil},
	{"a word", func(p *program) {
		w := p.a.word()
		*(*uint64)(p.a.at(w)) = 43
		exit(p, at(w))
	}, 43, nil},
	{"a result", func(p *program) {
		p.call(unix.SYS_UMASK, lit(0o17))
		exit(p, p.keep(p.call(unix.SYS_UMASK, lit(0o22))))
	}, 0o17, nil},
	{"a word in the first argument", preadOfAFile(0), 4, nil},
	{"a word in the second argument", preadOfAFile(1), 4, nil},
	{"a word in the third argument", preadOfAFile(2), 4, nil},
	{"a word in the fourth argument", preadOfAFile(3), 4, nil},
	{"words in the first four arguments", preadOfAFile(0, 1, 2, 3), 4, nil},
	{"a word in the fifth argument", func(p *program) {
		// recvfrom(…, address, NULL): any address but NULL is EFAULT
		nothing := p.a.word()
		p.call(unix.SYS_RECVFROM, lit(p.control), lit(p.a.word()), lit(1), lit(unix.MSG_PEEK|unix.MSG_DONTWAIT),
			at(nothing), lit(0)).skips(0, unix.EAGAIN)
		exit(p, lit(5))
	}, 5, nil},
	{"the sixth argument", func(p *program) {
		p.call(unix.SYS_MMAP, lit(0), lit(4096), lit(unix.PROT_READ), lit(unix.MAP_PRIVATE|unix.MAP_ANONYMOUS), arg{v: ^uint64(0)}, lit(0))
		p.call(unix.SYS_MMAP, lit(0), lit(4096), lit(unix.PROT_READ), lit(unix.MAP_PRIVATE|unix.MAP_ANONYMOUS), arg{v: ^uint64(0)}, lit(1))
	}, 0, unix.EINVAL},

	{"a number of one digit", decimalOf(0, "0"), 1, nil},
	{"a number", decimalOf(4190, "4190"), 1, nil},
	{"the longest number", decimalOf(^uint64(0), "18446744073709551615"), 1, nil},
	{"an errno to ignore", func(p *program) {
		p.call(unix.SYS_CLOSE, lit(badFD)).skips(0, unix.ENOENT, unix.EBADF)
		exit(p, lit(10))
	}, 10, nil},
	{"an errno that skips two", func(p *program) {
		p.call(unix.SYS_CLOSE, lit(badFD)).skips(2, unix.EBADF)
		exit(p, lit(1))
		exit(p, lit(2))
		exit(p, lit(11))
	}, 11, nil},
	{"no errno, nothing is skipped", func(p *program) {
		p.call(unix.SYS_GETPID).skips(1, unix.EBADF)
		exit(p, lit(12))
		exit(p, lit(1))
	}, 12, nil},
	{"another errno is none to skip", func(p *program) {
		p.call(unix.SYS_CLOSE, lit(badFD)).skips(0, unix.ENOENT)
	}, 0, unix.EBADF},
	{"the second rule", func(p *program) {
		p.call(unix.SYS_CLOSE, lit(badFD)).skips(0, unix.ENOENT).orSkips(1, unix.EBADF)
		exit(p, lit(1))
		exit(p, lit(13))
	}, 13, nil},
	{"the first rule wins", func(p *program) {
		p.call(unix.SYS_CLOSE, lit(badFD)).skips(0, unix.EBADF).orSkips(1, unix.EBADF)
		exit(p, lit(14))
		exit(p, lit(1))
	}, 14, nil},
	{"neither rule", func(p *program) {
		p.call(unix.SYS_CLOSE, lit(badFD)).skips(0, unix.ENOENT).orSkips(0, unix.EACCES)
	}, 0, unix.EBADF},

	{"the wanted result", func(p *program) {
		p.call(unix.SYS_WRITE, lit(p.pidEvent), lit(p.memory.command), lit(8)).wants(8)
		exit(p, lit(20))
	}, 20, nil},
	{"another result than the wanted one", func(p *program) {
		p.call(unix.SYS_READ, lit(p.control), lit(p.a.word()), lit(0)).wants(1)
	}, 0, errShort},
	{"an errno instead of the wanted result", func(p *program) {
		p.call(unix.SYS_READ, lit(badFD), lit(p.a.word()), lit(1)).wants(1)
	}, 0, unix.EBADF},
	{"an errno to skip instead of the wanted result", func(p *program) {
		p.call(unix.SYS_READ, lit(badFD), lit(p.a.word()), lit(1)).skips(0, unix.EBADF).wants(1)
		exit(p, lit(21))
	}, 21, nil},

	{"equal", func(p *program) {
		p.compare(lit(uint64(0xab12)), 0xff00, 0xab00, unix.ESTALE)
		exit(p, lit(30))
	}, 30, nil},
	{"equal in all bits", func(p *program) {
		p.compare(arg{v: 1<<63 | 1}, ^uint64(0), 1<<63|1, unix.ESTALE)
		exit(p, lit(31))
	}, 31, nil},
	{"unequal in a bit of the mask", func(p *program) { p.compare(lit(uint64(0xab12)), 0xff00, 0xac00, unix.ESTALE) }, 0, unix.ESTALE},
	{"unequal in the highest bit", func(p *program) { p.compare(arg{v: 1}, ^uint64(0), 1<<63|1, unix.EXDEV) }, 0, unix.EXDEV},
	{"a comparison that skips", func(p *program) {
		p.compare(lit(1), 1, 0, unix.ENOENT).skips(1, unix.ENOENT)
		exit(p, lit(1))
		exit(p, lit(32))
	}, 32, nil},
}

func exit(p *program, code arg) { p.call(unix.SYS_EXIT_GROUP, code) }

func TestInterpreter(t *testing.T) {
	for _, c := range interpreterCases {
		t.Run(c.name, func(t *testing.T) {
			pl := begin(raw(c.ops))
			_, ws, err := run(t, Options{}, pl)
			if c.err != nil {
				checkStepError(t, err, len(pl.Entries)-1, c.err)
				if ws.ExitStatus() != 125 {
					t.Errorf("exit status %d after a report, want 125", ws.ExitStatus())
				}
				return
			}
			if err != nil || ws.ExitStatus() != c.code {
				t.Errorf("status %#x, %v; want exit status %d", ws, err, c.code)
			}
		})
	}
}

// Each errno below 64 has its own bit in a rule.
func TestErrnoMasks(t *testing.T) {
	for e := unix.Errno(1); e < 64; e++ {
		if m := errnoMask([]unix.Errno{e}); bits.OnesCount64(m) != 1 || bits.TrailingZeros64(m) != int(e) {
			t.Errorf("errno %d: mask %#x", e, m)
		}
	}
	if m := errnoMask([]unix.Errno{unix.EPERM, unix.ENOENT}); m != 1<<1|1<<2 {
		t.Errorf("EPERM and ENOENT: mask %#x", m)
	}
}

// preadOfAFile reads two bytes of a file on fd 1000; the arguments named are words
// in memory, the others literals.
func preadOfAFile(words ...int) func(*program) {
	return func(p *program) {
		const file = 1000
		fd := p.keep(p.call(unix.SYS_OPENAT, cwd, p.str("/etc/passwd"), lit(unix.O_RDONLY)))
		p.call(unix.SYS_DUP3, fd, lit(file), lit(0))
		buffer := p.a.word()
		args := []arg{lit(file), lit(buffer), lit(2), lit(3)}
		for _, i := range words {
			w := p.a.word()
			*(*uint64)(p.a.at(w)) = args[i].v
			args[i] = at(w)
		}
		p.call(unix.SYS_PREAD64, args...).wants(2)
		p.compare(at(buffer), ^uint64(0), passwdBytes(), unix.EINVAL)
		exit(p, lit(4))
	}
}

// passwdBytes are the fourth and fifth byte of /etc/passwd as a little-endian word.
func passwdBytes() uint64 {
	b, err := os.ReadFile("/etc/passwd")
	if err != nil || len(b) < 5 {
		return 0
	}
	return uint64(b[3]) | uint64(b[4])<<8
}

// decimalOf writes a number between two slashes, and ends with 1 if that is what it should be.
func decimalOf(n uint64, want string) func(*program) {
	return func(p *program) {
		const longest = 20
		room := p.a.room(longest + 16)
		copy(room, "/"+strings.Repeat("_", longest)+"/")
		value := p.a.word()
		*(*uint64)(p.a.at(value)) = n
		p.decimal(at(value), address(&room[1+longest]))
		expected := []byte("/" + strings.Repeat("_", longest-len(want)) + want + "/")
		expected = append(expected, make([]byte, len(room)-len(expected))...)
		for i := 0; i+8 <= len(room); i += 8 {
			p.compare(at(address(&room[i])), ^uint64(0), binary.NativeEndian.Uint64(expected[i:]), unix.EILSEQ)
		}
		exit(p, lit(1))
	}
}
