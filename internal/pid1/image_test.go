//go:build linux && (amd64 || arm64)

package pid1

import (
	"runtime"
	"testing"

	"github.com/rl-run/rl-run/internal/static"
	"github.com/rl-run/rl-run/internal/static/statictest"
)

func TestImage(t *testing.T) {
	statictest.CheckImage(t, Image(), statictest.Machine(runtime.GOARCH))
}

func TestProgramStandsAlone(t *testing.T) {
	for arch, rule := range map[string]statictest.Rule{
		"amd64": {
			Mnemonics: "ADDQ ANDL BTQ CMPB CMPL CMPQ DECL INCL INCQ JA JB JE JG JL JLE JMP JNE JNS LEAL LEAQ MOVB MOVL MOVQ MOVZX SHRL " +
				"SHRQ SUBL SYSCALL TESTL TESTQ XORL",
			Bases: "AX BX DI R9 R12 R14 SI SP", // AX, DI and R12 in the sums of LEAL and LEAQ, SP for the frame, R14 for the environment
		},
		"arm64": {
			Mnemonics: "ADD AND BEQ BGT BHI BLE BLT BNE BPL CBNZ CBZ CMN CMP JMP LSR MADD MOVB MOVBU MOVBU.P MOVD MOVK MOVW MOVWU MOVZ ORR SUB " +
				"SUBS SVC SXTW TBNZ",
			Bases: "R0 R1 R19 R22 R25",
		},
	} {
		t.Run(arch, func(t *testing.T) {
			statictest.StandsAlone(t, "pid1", arch, endMark, static.Code(text(), endMark), rule)
		})
	}
}
