package cgroup

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

const (
	minMemory = 1 << 20 // less than any program needs to start
	minCPUs   = 10_000  // 0.01, in microseconds a second: the kernel takes no quota below 1 ms of a period's 100
	maxCPUs   = 8192_000_000
	maxPids   = 4 << 20 // PID_MAX_LIMIT of 64-bit kernels
)

// ParseMemory reads a number of bytes, as in 50m or 1.5g, from 1m; 0 is no limit.
func ParseMemory(s string) (int64, error) {
	n, err := parseSize(s)
	if err != nil || n != 0 && n < minMemory {
		return 0, fmt.Errorf("%q: expected a size of 1m or more, as in 50m or 1.5g, or 0 for no limit", s)
	}
	return n, nil
}

// ParseMemorySwap reads the limit of memory and swap together: a number of bytes
// from 1m, -1 for no limit of swap, or 0 for twice the memory.
func ParseMemorySwap(s string) (int64, error) {
	if s == "-1" {
		return Unlimited, nil
	}
	n, err := parseSize(s)
	if err != nil || n != 0 && n < minMemory {
		return 0, fmt.Errorf("%q: expected a size of 1m or more, as in 100m, or -1 for no limit", s)
	}
	return n, nil
}

// ParseCPUs reads a number of processors from 0.01 to 8192, with at most five digits
// behind the point, as microseconds of processor time a second; 0 is no limit.
func ParseCPUs(s string) (int64, error) {
	n, err := decimal(s, 5, 1_000_000)
	if err != nil || n != 0 && (n < minCPUs || n > maxCPUs) {
		return 0, fmt.Errorf("%q: expected a number of processors from 0.01 to 8192, as in 0.5 or 2, or 0 for no limit", s)
	}
	return n, nil
}

// ParseCPUWeight reads a share from 1 to 10000, or 0 for the usual 100.
func ParseCPUWeight(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > 10000 {
		return 0, fmt.Errorf("%q: expected a number from 1 to 10000 (100 is usual)", s)
	}
	return int64(n), nil
}

// ParsePids reads a number of processes and threads, from 1 to 4194304. 0 and -1 are
// no limit.
func ParsePids(s string) (int64, error) {
	if s == "-1" {
		return Unlimited, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n > maxPids {
		return 0, fmt.Errorf("%q: expected a number of processes from 1 to %d, or -1 for no limit", s, maxPids)
	}
	return int64(n), nil
}

// ParseBlkioWeight reads a share from 10 to 1000, or 0 for the usual one.
func ParseBlkioWeight(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n != 0 && (n < 10 || n > 1000) {
		return 0, fmt.Errorf("%q: expected a number from 10 to 1000", s)
	}
	return int64(n), nil
}

// ParseDevice reads PATH:N. N is a size for bytes and a number below 2^32 for
// operations, above zero, a second.
func ParseDevice(r Rate, s string) (DeviceLimit, error) {
	i := strings.LastIndexByte(s, ':')
	d := DeviceLimit{Rate: r}
	err := errors.New("no colon")
	if i >= 0 {
		d.Path = s[:i]
		if r == ReadBPS || r == WriteBPS {
			d.Max, err = parseSize(s[i+1:])
		} else {
			var n uint64
			n, err = strconv.ParseUint(s[i+1:], 10, 32)
			d.Max = int64(n)
		}
	}
	// The path becomes a line of a message, and later a word of a script.
	if err != nil || d.Max < 1 || !strings.HasPrefix(d.Path, "/") || strings.ContainsAny(d.Path, "\x00\n") {
		if r == ReadBPS || r == WriteBPS {
			return DeviceLimit{}, fmt.Errorf("%q: expected /dev/X:N with N bytes a second, as in /dev/sda:1mb", s)
		}
		return DeviceLimit{}, fmt.Errorf("%q: expected /dev/X:N with N operations a second, as in /dev/sda:1000", s)
	}
	return d, nil
}

var errMalformed = errors.New("malformed")

// parseSize reads bytes the way docker and podman write them, 4096, 512k, 50mb,
// 1.5GiB, in powers of 1024. A fraction of a byte is dropped.
func parseSize(s string) (int64, error) {
	number := s[:len(s)-len(strings.TrimLeft(s, "0123456789."))]
	unit := strings.ToLower(s[len(number):])
	scale := uint64(1)
	if unit != "" && unit != "b" {
		i := strings.IndexByte("kmgtp", unit[0])
		if i < 0 || unit[1:] != "" && unit[1:] != "b" && unit[1:] != "ib" {
			return 0, errMalformed
		}
		scale <<= 10 * uint(i+1)
	}
	return decimal(number, 15, scale)
}

// decimal reads digits with at most so many behind the point, times scale. What is
// left of a fraction is dropped.
func decimal(s string, digits int, scale uint64) (int64, error) {
	whole, fraction, point := strings.Cut(s, ".")
	if point && fraction == "" || len(fraction) > digits || strings.Trim(whole+fraction, "0123456789") != "" {
		return 0, errMalformed
	}
	n, err := strconv.ParseUint(whole, 10, 63)
	if err != nil {
		return 0, errMalformed
	}
	hi, n := bits.Mul64(n, scale)
	if hi != 0 || n > math.MaxInt64 {
		return 0, errMalformed
	}
	numerator, denominator := uint64(0), uint64(1)
	for _, c := range []byte(fraction) {
		numerator, denominator = numerator*10+uint64(c-'0'), denominator*10
	}
	hi, lo := bits.Mul64(numerator, scale) // below denominator*scale, so the quotient fits
	part, _ := bits.Div64(hi, lo, denominator)
	if n += part; n > math.MaxInt64 {
		return 0, errMalformed
	}
	return int64(n), nil
}
