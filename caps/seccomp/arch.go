package seccomp

import "golang.org/x/sys/unix"

// archID is a column of callNumbers.
type archID int

// The architectures whose calls a program of an amd64 or arm64 machine can make.
const (
	archX86_64 archID = iota
	archI386
	archX32
	archAarch64
	archArm
	archCount
)

const (
	// none is the number of a call that an architecture lacks.
	none = 0xffff
	// x32Bit is set in the numbers of x32, whose token is that of x86_64.
	x32Bit = 0x40000000
	// armPrivate is the first of arm's private numbers. In callNumbers, which has
	// 16 bits, they begin at armPrivateShort.
	armPrivate      = 0xf0000
	armPrivateShort = 0xf000
	// armPrivateCount is how many of those numbers have a place in a program.
	armPrivateCount = 16
)

// token is the AUDIT_ARCH_ value in struct seccomp_data. That of x32 is x86_64's.
func (a archID) token() uint32 {
	return [archCount]uint32{
		unix.AUDIT_ARCH_X86_64, unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_X86_64,
		unix.AUDIT_ARCH_AARCH64, unix.AUDIT_ARCH_ARM,
	}[a]
}

// wide reports whether arguments have 64 bits. Those of x32 do in the kernel,
// but libseccomp compares their low halves only.
func (a archID) wide() bool { return a == archX86_64 || a == archAarch64 }

// archByName is the architecture that libseccomp calls name, if a program of
// these machines can have it.
func archByName(name string) (archID, bool) {
	switch name {
	case "SCMP_ARCH_X86_64":
		return archX86_64, true
	case "SCMP_ARCH_X86":
		return archI386, true
	case "SCMP_ARCH_X32":
		return archX32, true
	case "SCMP_ARCH_AARCH64":
		return archAarch64, true
	case "SCMP_ARCH_ARM":
		return archArm, true
	}
	return 0, false
}

// knownArch reports whether name is an architecture of the runtime
// specification, of this machine or not.
func knownArch(name string) bool {
	switch name {
	case "SCMP_ARCH_MIPS", "SCMP_ARCH_MIPS64", "SCMP_ARCH_MIPS64N32",
		"SCMP_ARCH_MIPSEL", "SCMP_ARCH_MIPSEL64", "SCMP_ARCH_MIPSEL64N32",
		"SCMP_ARCH_PPC", "SCMP_ARCH_PPC64", "SCMP_ARCH_PPC64LE",
		"SCMP_ARCH_S390", "SCMP_ARCH_S390X", "SCMP_ARCH_PARISC", "SCMP_ARCH_PARISC64",
		"SCMP_ARCH_RISCV64", "SCMP_ARCH_LOONGARCH64", "SCMP_ARCH_M68K",
		"SCMP_ARCH_SH", "SCMP_ARCH_SHEB":
		return true
	}
	_, ok := archByName(name)
	return ok
}

// native is the architecture of the machine that Go calls goarch.
func native(goarch string) (archID, bool) {
	switch goarch {
	case "amd64":
		return archX86_64, true
	case "arm64":
		return archAarch64, true
	}
	return 0, false
}

// runsOn reports whether a program of architecture a can run on a machine whose
// own is host.
func (a archID) runsOn(host archID) bool {
	if host == archAarch64 {
		return a == archAarch64 || a == archArm
	}
	return a == archX86_64 || a == archI386 || a == archX32
}
