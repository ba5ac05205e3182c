//go:build linux && (amd64 || arm64)

package pid1

import (
	"bytes"
	"debug/elf"
	"encoding/hex"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestImage(t *testing.T) {
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[runtime.GOARCH]
	checkImage(t, Image(), machine)
}

func checkImage(t *testing.T, image []byte, machine elf.Machine) {
	t.Helper()
	t.Logf("%d bytes, %d of them instructions", len(image), len(image)-textOff)
	if len(image) > pageSize || len(image) < textOff+400 {
		t.Fatalf("%d bytes: more than a page, or too little to be whole", len(image))
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if f.Machine != machine || f.Type != elf.ET_DYN || f.Class != elf.ELFCLASS64 || f.Entry != textOff {
		t.Errorf("header %+v", f.FileHeader)
	}
	want := []elf.ProgHeader{
		{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_X, Filesz: uint64(len(image)), Memsz: uint64(len(image)), Align: loadAlign},
		{Type: elf.PT_GNU_STACK, Flags: elf.PF_R | elf.PF_W, Align: 16},
	}
	if len(f.Progs) != len(want) {
		t.Fatalf("%d program headers, want %d", len(f.Progs), len(want))
	}
	for i, p := range f.Progs {
		if p.ProgHeader != want[i] {
			t.Errorf("program header %d: %+v, want %+v", i, p.ProgHeader, want[i])
		}
	}
	if bytes.Contains(image, []byte(endMark)) {
		t.Error("the end mark is in the image")
	}
}

// standsAlone says what the instructions of a program may be. Whatever is missing here (calls, returns, addresses of
// data, the registers that Go keeps) would tie it to the program it is linked into.
var standsAlone = map[string]struct {
	mnemonics string // all that occur
	bases     string // registers that address memory: the frame, and pointers into it or to an argument
}{
	"amd64": {
		"ADDQ ANDL BTQ CMPL CMPQ DECL INCL INCQ JA JB JE JG JL JLE JMP JNE JNS LEAL LEAQ MOVB MOVL MOVQ MOVZX SHRL SHRQ " +
			"SUBL SYSCALL TESTL TESTQ XORL",
		"AX BX DI R9 R12 SI SP", // AX, DI and R12 in the sums of LEAL and LEAQ, SP for the frame
	},
	"arm64": {
		"ADD AND BEQ BGT BHI BLE BLT BNE BPL CBNZ CBZ CMN CMP JMP LSR MADD MOVB MOVBU.P MOVD MOVK MOVWU ORR SUB SUBS SVC " +
			"SXTW TBNZ",
		"R0 R1 R19 R25",
	},
}

// A memory operand, or on arm64 the target of a branch, counted in instructions.
var (
	operand = regexp.MustCompile(`\((R?[A-Z0-9]+)\)`)
	branch  = regexp.MustCompile(`^(B..|CBN?Z|TBNZ|JMP) .*\(PC\)$`)
)

// Each architecture's program is assembled and disassembled again.
func TestProgramStandsAlone(t *testing.T) {
	for arch, rule := range standsAlone {
		t.Run(arch, func(t *testing.T) {
			mnemonics, bases := strings.Fields(rule.mnemonics), strings.Fields(rule.bases)
			program := disassemble(t, arch)
			for _, in := range program {
				if mnemonic, _, _ := strings.Cut(in.text, " "); !slices.Contains(mnemonics, mnemonic) {
					t.Errorf("%s: not expected here", in.text)
				}
				if strings.Contains(in.text, "R_") {
					t.Errorf("%s: a relocation", in.text)
				}
				if branch.MatchString(in.text) {
					continue
				}
				for _, m := range operand.FindAllStringSubmatch(in.text, -1) {
					if !slices.Contains(bases, m[1]) {
						t.Errorf("%s: addresses memory by %s", in.text, m[1])
					}
				}
			}
			if last := program[len(program)-1].text; !strings.HasPrefix(last, "JMP ") {
				t.Errorf("the program ends with %q and would run on", last)
			}
			t.Logf("%d instructions", len(program))

			// The linker copied it as it is.
			var whole []byte
			for _, in := range program {
				whole = append(whole, in.bytes...)
			}
			if arch == runtime.GOARCH && !bytes.Equal(whole, code()) {
				t.Error("the linked program differs from the assembled one")
			}
		})
	}
}

// instruction is one of go tool objdump's, in its spelling.
type instruction struct {
	bytes []byte
	text  string
}

// listing is a line of go tool objdump: source line, address, bytes, text with relocations.
var listing = regexp.MustCompile(`^\s+\S+:\d+\s+0x[0-9a-f]+\s+([0-9a-f]+)\s+(.*\S)\s*$`)

// disassemble returns the instructions of program up to the end mark.
func disassemble(t *testing.T, arch string) []instruction {
	t.Helper()
	goTool := needGo(t)
	object := filepath.Join(t.TempDir(), "program.o")
	root := strings.TrimSpace(run(t, arch, goTool, "env", "GOROOT"))
	run(t, arch, goTool, "tool", "asm", "-p", "pid1", "-I", filepath.Join(root, "pkg", "include"), "-o", object, "pid1_"+arch+".s")
	var program []instruction
	var whole []byte
	for line := range strings.Lines(run(t, arch, goTool, "tool", "objdump", "-s", `^program`, object)) {
		m := listing.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		b, err := hex.DecodeString(m[1])
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if arch == "arm64" {
			slices.Reverse(b) // printed as a number
		}
		program = append(program, instruction{b, m[2]})
		whole = append(whole, b...)
	}
	end := bytes.Index(whole, []byte(endMark))
	if end < 0 {
		t.Fatal("no end mark in the listing")
	}
	for i, at := 0, 0; i < len(program); i++ {
		if at == end {
			return program[:i]
		}
		at += len(program[i].bytes)
	}
	t.Fatal("the end mark lies inside an instruction")
	return nil
}

// needGo returns the go command. The test must run in the package's folder.
func needGo(t *testing.T) string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		missing(t, "no go command to assemble and build with")
	}
	if _, err := os.Stat("pid1_" + runtime.GOARCH + ".s"); err != nil {
		missing(t, "not in the folder of the sources")
	}
	return goTool
}

// run returns what a command says with GOARCH set.
func run(t *testing.T, arch, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	c.Env = append(os.Environ(), "GOARCH="+arch, "GOOS=linux", "CGO_ENABLED=0")
	out, err := c.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("%s %q: %v\n%s", name, args, err, exit.Stderr)
		}
		t.Fatal(err)
	}
	return string(out)
}
