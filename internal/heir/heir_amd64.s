// The heir for amd64; the package comment says what it does, and heir_arm64.s does the same line by line.
//
// A system call takes its number in AX and its arguments in DI, SI, DX, R10, R8, R9; it destroys AX, CX and R11 only.
// Nothing is called, so the program needs no convention but that BX is the frame.

#include "textflag.h"

// Linux, arch/x86/entry/syscalls/syscall_64.tbl
#define SYS_rt_sigprocmask 14
#define SYS_execve 59
#define SYS_prctl 157
#define SYS_exit_group 231
#define SYS_ppoll 271
#define SYS_close_range 436

#define EINTR 4
#define SIG_SETMASK 2
#define PR_SET_NAME 15

// the descriptors
#define will 0
#define executed 3

// the frame
#define set 0(BX) // a signal set
#define scratch 8(BX) // 16 bytes: the name, struct pollfd of the will, a path
#define FRAME 24
// above it what the kernel left: argc, argv
#define argc FRAME(BX)
#define ARGV (FRAME+8)

#define SYSCALL1(number) \
	MOVL $number, AX; \
	SYSCALL

// MASK makes the set the signals that are blocked.
#define MASK \
	MOVL $SIG_SETMASK, DI; \
	LEAQ set, SI; \
	XORL DX, DX; \
	MOVL $8, R10; \
	SYSCALL1(SYS_rt_sigprocmask)

TEXT program<>(SB), NOSPLIT|NOFRAME, $0-0
	LEAQ -FRAME(SP), BX
	MOVQ BX, SP

	// Block all signals: nothing but SIGKILL ends it early.
	MOVQ $-1, set
	MASK

	// "rl-heir\0"
	MOVQ $0x00726965682d6c72, AX
	MOVQ AX, scratch
	MOVL $PR_SET_NAME, DI
	LEAQ scratch, SI
	SYSCALL1(SYS_prctl)

	// Hold nothing open of the launcher's.
	MOVL $(executed+1), DI
	MOVL $-1, SI
	XORL DX, DX
	SYSCALL1(SYS_close_range)

	// A hang-up is told without being asked for.
	MOVQ $will, scratch
wait:
	LEAQ scratch, DI
	MOVL $1, SI
	XORL DX, DX
	XORL R10, R10
	SYSCALL1(SYS_ppoll)
	CMPQ AX, $-EINTR // stopped and continued, or traced
	JEQ wait
	CMPQ AX, $1
	JNE fail

	MOVQ $0, set
	MASK
	// "/proc/self/fd/3\0"
	MOVQ $0x65732f636f72702f, AX
	MOVQ AX, scratch
	MOVQ $0x00332f64662f666c, AX
	MOVQ AX, 8+scratch
	LEAQ scratch, DI
	LEAQ ARGV(BX), SI
	MOVQ argc, AX
	LEAQ (ARGV+8)(BX)(AX*8), DX
	SYSCALL1(SYS_execve)
	MOVL $127, DI
exit:
	SYSCALL1(SYS_exit_group)

fail:
	MOVL $125, DI
	JMP exit

	// "rl-heir is over."
	QUAD $0x20726965682d6c72
	QUAD $0x2e7265766f207369

// func text() *[static.Max]byte
TEXT ·text(SB), NOSPLIT, $0-8
	LEAQ program<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
