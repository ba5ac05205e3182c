//go:build linux && (amd64 || arm64)

package pid1

import "github.com/rl-run/rl-run/internal/static"

// endMark follows the last instruction of the program.
const endMark = "rl-init ends now"

// text returns the address of the program's first instruction. Written in assembly: the Go value of an assembly
// function is the address of an ABI wrapper.
func text() *[static.Max]byte

// Image returns the init as a static ELF executable of this architecture, about one kilobyte. Each call returns a fresh
// slice.
func Image() []byte { return static.Image(static.Code(text(), endMark)) }

// MemFD returns a new close-on-exec descriptor of a sealed memfd that holds [Image], fit for execveat(2) with
// AT_EMPTY_PATH. It is the caller's to close. Errors are those of [static.MemFD].
func MemFD() (int, error) { return static.MemFD(Name, Image()) }
