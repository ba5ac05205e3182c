//go:build linux && (amd64 || arm64)

// Package static makes executables of routines that this program carries in its own text.
//
// A helper process that is small, shows nothing of the launcher's memory and costs no second start of the Go runtime is
// written in assembly: one position-independent routine per architecture that touches nothing but registers and the
// stack the kernel gives it. [Image] wraps its instructions in an ELF header, [MemFD] puts them into a sealed memfd, and
// a process becomes the helper with execveat(fd, "", argv, envp, AT_EMPTY_PATH).
package static

import (
	"bytes"
	"encoding/binary"
	"runtime"
)

// Max bounds an image, in bytes: one page of four kilobytes, the smallest of both architectures.
const Max = 4096

// Code returns the instructions of the routine that begins at text, as they lie in this process's memory: those before
// the mark that follows the last one inside the same assembler symbol. An end symbol of its own would be simpler to
// read, but the linker promises no order of symbols (and shuffles them under -randlayout). The result is read-only
// memory; without the mark in the first [Max] bytes Code panics.
func Code(text *[Max]byte, mark string) []byte {
	return text[:bytes.Index(text[:], []byte(mark))]
}

// Entry is the offset of the first instruction in an image, in the file and in memory.
const Entry = ehdrSize + 2*phdrSize

// Sizes and values of the ELF format, elf(5).
const (
	ehdrSize = 64
	phdrSize = 56

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

// Image returns code as a static ELF executable of this architecture: one segment that is readable and executable, a
// stack that is neither shared nor executable, no interpreter, no sections. Each call returns a fresh slice.
func Image(code []byte) []byte {
	machine := uint16(emX86_64)
	if runtime.GOARCH == "arm64" {
		machine = emAArch64
	}
	size := uint64(Entry + len(code))

	le := binary.LittleEndian
	b := make([]byte, 0, size)
	b = append(b, "\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00"...) // 64 bits, little endian, version 1
	b = le.AppendUint16(b, etDyn)
	b = le.AppendUint16(b, machine)
	b = le.AppendUint32(b, 1)        // version
	b = le.AppendUint64(b, Entry)    // entry
	b = le.AppendUint64(b, ehdrSize) // program headers
	b = le.AppendUint64(b, 0)        // no sections
	b = le.AppendUint32(b, 0)        // flags
	b = le.AppendUint16(b, ehdrSize)
	b = le.AppendUint16(b, phdrSize)
	b = le.AppendUint16(b, 2) // program headers
	b = append(b, 0, 0, 0, 0, 0, 0)

	b = appendSegment(b, ptLoad, pfR|pfX, size, loadAlign)
	b = appendSegment(b, ptGNUStack, pfR|pfW, 0, 16)
	return append(b, code...)
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
