//go:build linux && (amd64 || arm64)

package keeper

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
			Mnemonics: "ADDL ADDQ CMPL CMPQ DECL DECQ DIVQ INCL INCQ JA JE JG JGE JL JLE JMP JNE JNS LEAQ MOVB MOVL MOVQ " +
				"MOVZX SHRQ SUBL SUBQ SYSCALL TESTL TESTQ XORL",
			Bases: "AX BX DI SI SP", // AX and DI in the sums of LEAQ, SP for the frame
		},
		"arm64": {
			Mnemonics: "ADD BEQ BGT BHI BLE BLT BNE BPL CBNZ CBZ CMN CMP JMP LSR MADD MOVB MOVB.W MOVBU.P MOVD MOVHU MOVK " +
				"MOVW MOVWU MSUB ORR SUB SUBS SVC TBNZ TBZ UDIV",
			Bases: "R1 R19",
		},
	} {
		t.Run(arch, func(t *testing.T) {
			statictest.StandsAlone(t, "keeper", arch, endMark, static.Code(text(), endMark), rule)
		})
	}
}
