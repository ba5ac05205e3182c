//go:build linux && (amd64 || arm64)

// Package statictest holds what the tests of the static programs share. Each such program lies in a package of its own,
// NAME, in the files NAME_amd64.s and NAME_arm64.s, as the symbol program<>; the package's testdata/dump writes the
// image to standard output. The tests run in the package's folder.
package statictest

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

	"github.com/rl-run/rl-run/internal/static"
)

// Machine returns the ELF number of an architecture, in Go's spelling.
func Machine(arch string) elf.Machine {
	if arch == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

// CheckImage checks what the kernel's loader will read of an image.
func CheckImage(t *testing.T, image []byte, machine elf.Machine) {
	t.Helper()
	t.Logf("%d bytes, %d of them instructions", len(image), len(image)-static.Entry)
	if len(image) > static.Max || len(image) < static.Entry+200 {
		t.Fatalf("%d bytes: more than a page, or too little to be whole", len(image))
	}
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if f.Machine != machine || f.Type != elf.ET_DYN || f.Class != elf.ELFCLASS64 || f.Entry != static.Entry {
		t.Errorf("header %+v", f.FileHeader)
	}
	want := []elf.ProgHeader{
		{Type: elf.PT_LOAD, Flags: elf.PF_R | elf.PF_X, Filesz: uint64(len(image)), Memsz: uint64(len(image)), Align: 0x10000},
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
}

// Rule says what the instructions of a program may be. Whatever is missing there (calls, returns, addresses of data, the
// registers that Go keeps) would tie it to the program it is linked into.
type Rule struct {
	Mnemonics string // all that occur
	Bases     string // registers that address memory: the frame, and pointers into it or to an argument
}

// A memory operand, or on arm64 the target of a branch, counted in instructions; and a number that the disassembler takes
// for an address because it happens to be one in the object. An address would have a relocation.
var (
	number  = regexp.MustCompile(`\$\S+\(SB\)`)
	operand = regexp.MustCompile(`\((R?[A-Z0-9]+)\)`)
	branch  = regexp.MustCompile(`^(B..|CBN?ZW?|TBN?Z|JMP) .*\(PC\)$`)
)

// StandsAlone assembles the program of an architecture, disassembles it again up to the mark, and checks it against the
// rule. code is what the linker made of it for the architecture of the test.
func StandsAlone(t *testing.T, name, arch, mark string, code []byte, rule Rule) {
	t.Helper()
	mnemonics, bases := strings.Fields(rule.Mnemonics), strings.Fields(rule.Bases)
	program := disassemble(t, name, arch, mark)
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
		for _, m := range operand.FindAllStringSubmatch(number.ReplaceAllString(in.text, ""), -1) {
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
	if arch == runtime.GOARCH && !bytes.Equal(whole, code) {
		t.Error("the linked program differs from the assembled one")
	}
}

// instruction is one of go tool objdump's, in its spelling.
type instruction struct {
	bytes []byte
	text  string
}

// listing is a line of go tool objdump: source line, address, bytes, text with relocations.
var listing = regexp.MustCompile(`^\s+\S+:\d+\s+0x[0-9a-f]+\s+([0-9a-f]+)\s+(.*\S)\s*$`)

// disassemble returns the instructions of program up to the mark.
func disassemble(t *testing.T, name, arch, mark string) []instruction {
	t.Helper()
	goTool := needGo(t, name)
	object := filepath.Join(t.TempDir(), "program.o")
	root := strings.TrimSpace(run(t, arch, goTool, "env", "GOROOT"))
	run(t, arch, goTool, "tool", "asm", "-p", name, "-I", filepath.Join(root, "pkg", "include"), "-o", object, name+"_"+arch+".s")
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
	end := bytes.Index(whole, []byte(mark))
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

// Emulated builds the image of the other architecture with that architecture's own compiler, linker and code, checks it,
// and returns the path of its emulator, of qemu-user, and that of the image.
func Emulated(t *testing.T, name string) (qemu, image string) {
	t.Helper()
	arch, emulator := "arm64", "qemu-aarch64"
	if runtime.GOARCH == "arm64" {
		arch, emulator = "amd64", "qemu-x86_64"
	}
	goTool := needGo(t, name)
	qemu, err := exec.LookPath(emulator)
	if err != nil {
		qemu, err = exec.LookPath(emulator + "-static")
	}
	if err != nil {
		Missing(t, "no "+emulator+" (Debian: qemu-user-static)")
	}
	dir := t.TempDir()
	dump, image := filepath.Join(dir, "dump"), filepath.Join(dir, "image")
	run(t, arch, goTool, "build", "-buildvcs=false", "-o", dump, "./testdata/dump")
	elfImage := []byte(run(t, arch, qemu, dump))
	CheckImage(t, elfImage, Machine(arch))
	if err := os.WriteFile(image, elfImage, 0o700); err != nil {
		t.Fatal(err)
	}
	return qemu, image
}

// needGo returns the go command.
func needGo(t *testing.T, name string) string {
	t.Helper()
	goTool, err := exec.LookPath("go")
	if err != nil {
		Missing(t, "no go command to assemble and build with")
	}
	if _, err := os.Stat(name + "_" + runtime.GOARCH + ".s"); err != nil {
		Missing(t, "not in the folder of the sources")
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

// Missing skips a test for want of a tool, or fails it where nothing may be skipped: with RLRUN_NO_SKIP in the
// environment.
func Missing(t *testing.T, reason string) {
	t.Helper()
	if value, _ := os.LookupEnv("RLRUN_NO_SKIP"); value != "" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}
