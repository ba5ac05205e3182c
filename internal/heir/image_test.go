//go:build linux && (amd64 || arm64)

package heir

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
			Mnemonics: "CMPQ JE JMP JNE LEAQ MOVL MOVQ SYSCALL XORL",
			Bases:     "AX BX SP", // AX in the sum of LEAQ, SP for the frame
		},
		"arm64": {
			Mnemonics: "ADD BEQ BNE CMN CMP JMP MOVD MOVK MOVW ORR SUB SVC",
			Bases:     "R19",
		},
	} {
		t.Run(arch, func(t *testing.T) {
			statictest.StandsAlone(t, "heir", arch, endMark, static.Code(text(), endMark), rule)
		})
	}
}
