//go:build linux && (amd64 || arm64)

package pid1

import (
	"bytes"
	"encoding/binary"
	"runtime"
)

// pageSize bounds the image: one page of four kilobytes, the smallest of both architectures.
const pageSize = 4096

// endMark follows the last instruction of the program inside the same assembler symbol. An end symbol of its own would
// be simpler to read, but the linker promises no order of symbols (and shuffles them under -randlayout).
const endMark = "rl-init ends now"

// text returns the address of the program's first instruction. Written in assembly: the Go value of an assembly
// function is the address of an ABI wrapper.
func text() *[pageSize]byte

// code returns the program's instructions, as they lie in this process's text. Read-only memory.
func code() []byte {
	t := text()
	return t[:bytes.Index(t[:], []byte(endMark))]
}

// Sizes and values of the ELF format, elf(5).
const (
	ehdrSize = 64
	phdrSize = 56
	textOff  = ehdrSize + 2*phdrSize

	etDyn      = 3 // position independent: placed at random, like any PIE
	emX86_64   = 62
	emAArch64  = 183
	ptLoad     = 1
	ptGNUStack = 0x6474e551
	pfX        = 1
	pfW        = 2
	pfR        = 4

	// loadAlign is the largest page size of both architectures, so that the segment can be mapped under any.
	loadAlign = 0x10000
)

// Image returns the init as a static ELF executable of this architecture, about one kilobyte: one segment that is
// readable and executable, a stack that is neither shared nor executable, no interpreter, no sections. Each call
// returns a fresh slice.
func Image() []byte {
	machine := uint16(emX86_64)
	if runtime.GOARCH == "arm64" {
		machine = emAArch64
	}
	text := code()
	size := uint64(textOff + len(text))

	le := binary.LittleEndian
	b := make([]byte, 0, size)
	b = append(b, "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"...) // 64 bits, little endian, version 1
	b = le.AppendUint16(b, etDyn)
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)        // version
	b = le.AppendUint64(b, textOff)  // entry
	b = le.AppendUint64(b, ehdrSize) // program headers
	b = le.AppendUint64(b, 0)        // no sections
	b = le.AppendUint32(b, 0)        // flags
	b = le.AppendUint16(b, ehdrSize)
	b = le.AppendUint16(b, phdrSize)
	b = le.AppendUint16(b, 2) // program headers
	b = append(b, 0, 0, 0, 0, 0, 0)

	b = appendSegment(b, ptLoad, pfR|pfX, size, loadAlign)
	b = appendSegment(b, ptGNUStack, pfR|pfW, 0, 16)
	return append(b, text...)
}

// appendSegment appends the program header of a segment that begins where the file and the address space begin.
func appendSegment(b []byte, kind, flags uint32, size, align uint64) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, kind)
	b = le.AppendUint32(b, flags)
	b = le.AppendUint64(b, 0) // offset
	b = le.AppendUint64(b, 0) // virtual address
	b = le.AppendUint64(b, 0) // physical address
	b = le.AppendUint64(b, size)
	b = le.AppendUint64(b, size)
	return le.AppendUint64(b, align)
}
