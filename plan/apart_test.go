//go:build linux && (amd64 || arm64)

package plan

import (
	"runtime"
	"testing"

	"github.com/rl-run/rl-run/internal/static"
	"github.com/rl-run/rl-run/internal/static/statictest"
)

func TestApartImage(t *testing.T) {
	statictest.CheckImage(t, static.Image(static.Code(apartText(), apartMark)), statictest.Machine(runtime.GOARCH))
}

func TestApartStandsAlone(t *testing.T) {
	for arch, rule := range map[string]statictest.Rule{
		"amd64": {
			Mnemonics: "ADDQ ANDQ BTL BTQ CMPL CMPQ INT JA JAE JB JE JMP JNE LEAQ MOVL MOVQ MOVSXD MOVZX NEGQ SUBL SYSCALL TESTL TESTQ XORL",
			Bases:     "AX BX CX DI DX R8 R10 R12 R13 SI SP", // the words of arguments, and what lies in the arena
		},
		"arm64": {
			Mnemonics: "ADD AND BCC BCS BEQ BNE BRK CBNZ CBZ CMN CMP CMPW JMP LSL LSR MADD MOVBU.P MOVD MOVW MOVWU NEG ORR SUB SVC TBZ",
			Bases:     "R0 R1 R2 R3 R4 R10 R19 R20 R21",
		},
	} {
		t.Run(arch, func(t *testing.T) {
			statictest.StandsAlone(t, "plan", arch, apartMark, static.Code(apartText(), apartMark), rule)
		})
	}
}
