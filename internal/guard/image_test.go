//go:build linux && (amd64 || arm64)

package guard

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
			Mnemonics: "ADDQ CMPL CMPQ DECQ IMULQ INCL INCQ JA JE JGE JL JLE JMP JNE LEAQ MOVB MOVL MOVQ MOVZX ORL SUBL SUBQ " +
				"SYSCALL TESTL TESTQ XORL XORQ",
			Bases: "AX BX DI R9 R13 SI SP", // AX and DI in the sums of LEAQ, SP for the frame
		},
		"arm64": {
			Mnemonics: "ADD BCC BEQ BGE BHI BLE BLT BNE CBNZ CBZ CMN CMP EOR JMP MADD MOVBU MOVBU.P MOVBU.W MOVD MOVD.P MOVHU MOVK MOVW " +
				"MOVWU MUL ORR SUB SUBS SVC TBNZ TBZ",
			Bases: "R1 R19 R21 R24",
		},
	} {
		t.Run(arch, func(t *testing.T) {
			statictest.StandsAlone(t, "guard", arch, endMark, static.Code(text(), endMark), rule)
		})
	}
}
