// The heir for arm64; the package comment says what it does, and heir_amd64.s does the same line by line.
//
// A system call takes its number in R8 and its arguments in R0 to R5; it destroys R0 only. R27, which the assembler may
// use for itself, R18 and R28 are left alone. Nothing is called, so the program needs no convention but that R19 is the
// frame.

#include "textflag.h"

// Linux, include/uapi/asm-generic/unistd.h
#define SYS_ppoll 73
#define SYS_exit_group 94
#define SYS_rt_sigprocmask 135
#define SYS_prctl 167
#define SYS_execve 221
#define SYS_close_range 436

#define EINTR 4
#define SIG_SETMASK 2
#define PR_SET_NAME 15

// the descriptors
#define will 0
#define executed 3

// offsets in the frame
#define set 0 // a signal set
#define scratch 8 // 16 bytes: the name, struct pollfd of the will, a path
#define FRAME 32 // the stack pointer is a multiple of 16
// above it what the kernel left: argc, argv
#define argc FRAME
#define ARGV (FRAME+8)

#define SYSCALL1(number) \
	MOVD $number, R8; \
	SVC

// A constant of 64 bits, without the literal pool: the program has no data.
#define CONST(a, b, c, d, reg) \
	MOVZ $a, reg; \
	MOVK $(b<<16), reg; \
	MOVK $(c<<32), reg; \
	MOVK $(d<<48), reg

// MASK makes the set the signals that are blocked.
#define MASK \
	MOVD $SIG_SETMASK, R0; \
	ADD $set, R19, R1; \
	MOVD ZR, R2; \
	MOVD $8, R3; \
	SYSCALL1(SYS_rt_sigprocmask)

TEXT program<>(SB), NOSPLIT|NOFRAME, $0-0
	SUB $FRAME, RSP, R19
	MOVD R19, RSP

	// Block all signals: nothing but SIGKILL ends it early.
	MOVD $-1, R0
	MOVD R0, set(R19)
	MASK

	// "rl-heir\0"
	CONST(0x6c72, 0x682d, 0x6965, 0x0072, R0)
	MOVD R0, scratch(R19)
	MOVD $PR_SET_NAME, R0
	ADD $scratch, R19, R1
	SYSCALL1(SYS_prctl)

	// Hold nothing open of the launcher's.
	MOVD $(executed+1), R0
	MOVW $-1, R1
	MOVD ZR, R2
	SYSCALL1(SYS_close_range)

	// A hang-up is told without being asked for.
	MOVD $will, R0
	MOVD R0, scratch(R19)
wait:
	ADD $scratch, R19, R0
	MOVD $1, R1
	MOVD ZR, R2
	MOVD ZR, R3
	SYSCALL1(SYS_ppoll)
	CMN $EINTR, R0 // stopped and continued, or traced
	BEQ wait
	CMP $1, R0
	BNE fail

	MOVD ZR, set(R19)
	MASK
	// "/proc/self/fd/3\0"
	CONST(0x702f, 0x6f72, 0x2f63, 0x6573, R0)
	MOVD R0, scratch(R19)
	CONST(0x666c, 0x662f, 0x2f64, 0x0033, R0)
	MOVD R0, (8+scratch)(R19)
	ADD $scratch, R19, R0
	ADD $ARGV, R19, R1
	MOVD argc(R19), R2
	ADD R2<<3, R1, R2
	ADD $8, R2
	SYSCALL1(SYS_execve)
	MOVD $127, R0
exit:
	SYSCALL1(SYS_exit_group)

fail:
	MOVD $125, R0
	B exit

	// "rl-heir is over."
	WORD $0x682d6c72
	WORD $0x20726965
	WORD $0x6f207369
	WORD $0x2e726576

// func text() *[static.Max]byte
TEXT ·text(SB), NOSPLIT, $0-8
	MOVD $program<>(SB), R0
	MOVD R0, ret+0(FP)
	RET
