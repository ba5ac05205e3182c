package plan

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// instruction is a line of go tool objdump.
type instruction struct {
	address  uint64
	mnemonic string
	operands string
}

// dialect is what a test must know of an architecture's assembly language.
type dialect struct {
	call     string         // of the kernel
	stop     string         // the trap behind the last system call
	always   string         // the jump
	branches []string       // all other jumps
	plain    []string       // all that computes and moves
	stack    *regexp.Regexp // an operand that is about the stack
}

var dialects = map[string]dialect{
	"amd64": {
		call: "SYSCALL", stop: "INT", always: "JMP",
		branches: []string{"JE", "JNE", "JAE", "JB", "JA", "JBE"},
		plain:    []string{"MOVQ", "MOVL", "MOVB", "MOVSXD", "MOVLQSX", "BTL", "BTQ", "TESTQ", "CMPQ", "CMPL", "ADDQ", "ADDL", "ANDQ", "NEGQ", "LEAQ", "XORL", "DIVQ", "DECQ"},
		stack:    regexp.MustCompile(`\b(SP|BP)\b`),
	},
	"arm64": {
		call: "SVC", stop: "BRK", always: "JMP",
		branches: []string{"BEQ", "BNE", "BCS", "BCC", "CBZ", "CBNZ", "TBZ", "TBNZ"},
		plain:    []string{"MOVD", "MOVW", "MOVWU", "MOVB", "CMP", "CMPW", "CMN", "ADD", "SUB", "AND", "NEG", "LSR", "ORR", "UDIV", "MSUB"},
		stack:    regexp.MustCompile(`\b(RSP|SP|R29|R30)\b`),
	},
}

var (
	objdumpLine    = regexp.MustCompile(`^\s+\S+:\d+\s+0x([0-9a-f]+)\s+[0-9a-f]+\s+(\S+)\s*(.*?)\s*$`)
	absoluteTarget = regexp.MustCompile(`(?:^|, )0x([0-9a-f]+)$`)
	relativeTarget = regexp.MustCompile(`(?:^|, )(-?\d+)\(PC\)$`)
)

func (d dialect) isBranch(i instruction) bool {
	return i.mnemonic == d.always || slices.Contains(d.branches, i.mnemonic)
}

// target is where a branch leads to.
func (i instruction) target() (uint64, error) {
	if m := absoluteTarget.FindStringSubmatch(i.operands); m != nil {
		return strconv.ParseUint(m[1], 16, 64)
	}
	if m := relativeTarget.FindStringSubmatch(i.operands); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 64)
		return i.address + uint64(4*n), err
	}
	return 0, fmt.Errorf("%s %s leads nowhere known", i.mnemonic, i.operands)
}

// The child shares its memory with a launcher that goes on running, and has no
// stack: between the clone and its end it makes system calls, computes in
// registers and reads and writes what the plan points to. It calls nothing, and
// it touches no stack.
func TestDisassembly(t *testing.T) {
	for arch, d := range dialects {
		t.Run(arch, func(t *testing.T) {
			code := disassemble(t, arch, "start")
			at := make(map[uint64]int)
			for n, i := range code {
				at[i.address] = n
			}
			if len(code) < 60 {
				t.Fatalf("%d instructions are not all", len(code))
			}
			clone := slices.IndexFunc(code, func(i instruction) bool { return i.mnemonic == d.call })
			if clone < 0 {
				t.Fatal("no system call")
			}
			// The launcher falls through to its return; the child branches off.
			child := -1
			for n := clone + 1; code[n].mnemonic != "RET"; n++ {
				if d.isBranch(code[n]) {
					to, err := code[n].target()
					if err != nil {
						t.Fatal(err)
					}
					child = at[to]
				}
			}
			if child < 0 {
				t.Fatal("nothing tells the child from its launcher")
			}

			seen, calls := make(map[int]bool), 0
			var visit func(n int)
			visit = func(n int) {
				for ; ; n++ {
					if n >= len(code) {
						t.Fatal("the code runs on behind its end")
					}
					if seen[n] {
						return
					}
					seen[n] = true
					i := code[n]
					if d.stack.MatchString(i.operands) {
						t.Errorf("%#x: %s %s: touches the stack", i.address, i.mnemonic, i.operands)
					}
					switch {
					case i.mnemonic == d.stop:
						return
					case i.mnemonic == d.call:
						calls++
					case d.isBranch(i):
						to, err := i.target()
						if err != nil {
							t.Fatal(err)
						}
						next, inside := at[to]
						if !inside {
							t.Fatalf("%#x: %s %s: leads out of start", i.address, i.mnemonic, i.operands)
						}
						visit(next)
						if i.mnemonic == d.always {
							return
						}
					case !slices.Contains(d.plain, i.mnemonic):
						t.Errorf("%#x: %s %s: not known to be harmless", i.address, i.mnemonic, i.operands)
					case strings.Contains(i.operands, "(SB)"):
						t.Errorf("%#x: %s %s: touches a variable of Go", i.address, i.mnemonic, i.operands)
					}
				}
			}
			visit(child)
			if calls != 8 { // of an op, and prctl, write, close, shutdown, ppoll, close_range and exit_group of a report
				t.Errorf("%d system calls, want 8", calls)
			}
			for n := child; n < len(code); n++ {
				if !seen[n] && code[n].mnemonic != d.stop && !strings.HasPrefix(code[n].mnemonic, "INT") && code[n].mnemonic != "?" {
					t.Errorf("%#x: %s %s: nothing leads here", code[n].address, code[n].mnemonic, code[n].operands)
				}
			}
		})
	}
}

func disassemble(t *testing.T, arch, symbol string) (code []instruction) {
	t.Helper()
	out := goBuild(t, arch, "tool", "objdump", "-s", `(^|/plan\.)`+symbol+`(\.abi0)?$`, testBinary(t, arch))
	for line := range strings.Lines(out) {
		m := objdumpLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || !strings.Contains(line, "interpreter_"+arch) && !strings.Contains(line, "apart_"+arch) {
			continue
		}
		address, err := strconv.ParseUint(m[1], 16, 64)
		if err != nil {
			t.Fatal(err)
		}
		code = append(code, instruction{address, m[2], m[3]})
	}
	return code
}
