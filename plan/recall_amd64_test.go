package plan

import (
	"testing"
	"unsafe"
)

// The vectors of the authors' own implementation: key 00 01 … 0f, input 00 01 ….
func TestSip(t *testing.T) {
	var in [64]byte
	for i := range in {
		in[i] = byte(i)
	}
	const k0, k1 = 0x0706050403020100, 0x0f0e0d0c0b0a0908
	for n, want := range map[uintptr]uint64{
		0: 0x726fdb47dd0e0e31, 1: 0x74f839c593dc67fd, 7: 0xab0200f58b01d137, 8: 0x93f5f5799a932462, 15: 0xa129ca6149be45e5, 63: 0x958a324ceb064572,
	} {
		if got := sip(k0, k1, uintptr(unsafe.Pointer(&in[0])), n); got != want {
			t.Errorf("%d bytes: %#x, want %#x", n, got, want)
		}
	}
}
