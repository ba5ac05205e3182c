package antispoof

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// What the program does, test/veth tries with frames. Here: it ends, in a verdict.
func TestProgramEnds(t *testing.T) {
	for _, c := range []Container{
		{MAC: [6]byte{10, 'r', 10, 0, 0, 7}, IP: netip.MustParseAddr("10.0.0.7")},
		{MAC: [6]byte{10, 'r', 10, 0, 0, 7}, IP: netip.MustParseAddr("10.0.0.7"), IP6: netip.MustParseAddr("fd00::7")},
	} {
		p := Program(c)
		if len(p) > 4096 {
			t.Errorf("%d instructions", len(p))
		}
		covered := uint32(0)
		for i, op := range p {
			switch op.Code & 7 {
			case unix.BPF_JMP:
				if i+1+int(max(op.Jt, op.Jf)) >= len(p) {
					t.Errorf("instruction %d jumps beyond the end", i)
				}
				if op.Code == unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K {
					covered = op.K
				}
			case unix.BPF_LD:
				width := map[uint16]uint32{unix.BPF_W: 4, unix.BPF_H: 2, unix.BPF_B: 1}[op.Code&0x18]
				// The parts stand behind each other and each begins with what it needs.
				if op.Code&0xe0 == unix.BPF_ABS && op.K < 1<<20 && op.K+width > covered && covered < ip6End {
					t.Errorf("instruction %d loads at %d, but only %d bytes are known to be there", i, op.K, covered)
				}
			case unix.BPF_RET:
				if op.K != verdictPass && op.K != verdictDrop {
					t.Errorf("instruction %d returns %d", i, op.K)
				}
			}
		}
		if last := p[len(p)-1]; last.Code != unix.BPF_RET|unix.BPF_K || last.K != verdictDrop {
			t.Error("the end is no drop")
		}
	}
}

func TestLinkLocal(t *testing.T) {
	if got := LinkLocal([6]byte{0x0a, 0x72, 0xc0, 0xa8, 0x2f, 0x0c}); got.String() != "fe80::872:c0ff:fea8:2f0c" {
		t.Error(got)
	}
}
