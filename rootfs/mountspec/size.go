package mountspec

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
)

// MaxSize is the largest number that [ParseSize] returns, 2^63-1: the kernel
// keeps the size of a file system in a signed number.
const MaxSize = math.MaxInt64

// ParseSize reads a number of bytes from 1 to [MaxSize] the way docker and
// podman write it: 4096, 512k, 50m, 1g, 50MiB, 1.5g, "2 GB". Units are powers
// of 1024, b k m g t p in either case; what is left of a fraction of a byte is
// dropped. Zero is refused: to the kernel it means no limit.
func ParseSize(s string) (uint64, error) {
	malformed := func() (uint64, error) {
		return 0, fmt.Errorf("malformed size %q (expected a number of bytes above 0, as in 4096, 512k, 50m or 1.5g)", s)
	}
	number := s[:len(s)-len(strings.TrimLeft(s, "0123456789."))]
	shift, ok := unitShift(strings.TrimPrefix(s[len(number):], " "))
	if !ok || (len(number) == len(s)-1 && strings.HasSuffix(s, " ")) {
		return malformed()
	}
	whole, fraction, point := strings.Cut(number, ".")
	if whole == "" || point && fraction == "" || strings.Contains(fraction, ".") || len(fraction) > 18 {
		return malformed()
	}

	var size uint64
	for _, d := range []byte(whole) {
		hi, lo := bits.Mul64(size, 10)
		sum, carry := bits.Add64(lo, uint64(d-'0'), 0)
		if hi != 0 || carry != 0 || sum > MaxSize {
			return 0, fmt.Errorf("size %q is larger than 8 EiB", s)
		}
		size = sum
	}
	if size > MaxSize>>shift {
		return 0, fmt.Errorf("size %q is larger than 8 EiB", s)
	}
	size <<= shift

	numerator, denominator := uint64(0), uint64(1)
	for _, d := range []byte(fraction) {
		numerator, denominator = numerator*10+uint64(d-'0'), denominator*10
	}
	hi, lo := bits.Mul64(numerator, 1<<shift) // below denominator<<shift, so the quotient fits
	part, _ := bits.Div64(hi, lo, denominator)
	if size += part; size == 0 {
		return malformed()
	}
	return size, nil
}

// unitShift reads "", "b", or a unit letter with or without "b" or "ib".
func unitShift(unit string) (shift uint, ok bool) {
	unit = strings.ToLower(unit)
	if unit == "" || unit == "b" {
		return 0, true
	}
	i := strings.IndexByte("kmgtp", unit[0])
	if i < 0 {
		return 0, false
	}
	switch unit[1:] {
	case "", "b", "i", "ib":
		return 10 * uint(i+1), true
	}
	return 0, false
}
