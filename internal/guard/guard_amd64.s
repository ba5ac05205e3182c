// The guard for amd64; the package comment says what it does, and guard_arm64.s does the same line by line.
//
// A system call takes its number in AX and its arguments in DI, SI, DX, R10, R8, R9; it destroys AX, CX and R11 only.
// Nothing is called, so the program needs no convention but these:
//
//	BX   the frame
//	R12  pid of the child, or 0
//	R13  the child's arguments
//	R14  the child's environment
//	R15  a descriptor of /dev/null until the first start is done, then negative

#include "textflag.h"
#include "guard.h"
#include "calls_amd64.h"

// the frame
#define owner 0(BX) // struct pollfd of the owner
#define container 8(BX) // struct pollfd of the container
#define signals 16(BX) // struct pollfd of SIGCHLD
#define revents(p) 6+p
#define time 24(BX) // struct timespec
#define started 40(BX) // when the child was started
#define deadline 48(BX) // when it is to be started again
#define delay 56(BX) // how long its next death makes wait
#define scratch 64(BX) // struct signalfd_siginfo, 128 bytes; strings, a struct sigaction, a message
#define set 192(BX) // a signal set
#define base 200(BX) // sum of the followed file when the child was started
#define last 208(BX) // and at the last look
#define FRAME 224
// above it what the kernel left: argc, argv
#define argc FRAME(BX)
#define ARGV (FRAME+8)
#define followed (ARGV+24)(BX) // path of a file, or negative
#define given (ARGV+32)(BX) // a socket, until what comes there has taken its place; then negative
#define ONCE (ARGV+40)
#define text -TEXT_SIZE(BX)

#define SYSCALL1(number) \
	MOVL $number, AX; \
	SYSCALL

// NOW reads the monotonic clock into AX, in nanoseconds.
#define NOW \
	MOVL $CLOCK_MONOTONIC, DI; \
	LEAQ time, SI; \
	SYSCALL1(SYS_clock_gettime); \
	MOVQ time, AX; \
	MOVL $SECOND, CX; \
	IMULQ CX, AX; \
	ADDQ 8+time, AX

TEXT program<>(SB), NOSPLIT|NOFRAME, $0-0
	LEAQ -FRAME(SP), BX
	LEAQ text, SP

	// Block all signals: none of them ends the guard or interrupts it.
	MOVQ $-1, set
	MOVL $SIG_SETMASK, DI
	LEAQ set, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigprocmask)

	// "rl-guard\0"
	MOVQ $0x64726175672d6c72, AX
	MOVQ AX, scratch
	XORL AX, AX
	MOVQ AX, 8+scratch
	MOVL $PR_SET_NAME, DI
	LEAQ scratch, SI
	SYSCALL1(SYS_prctl)

	// Owner and container end the guard, not the end of its starter.
	MOVL $PR_SET_PDEATHSIG, DI
	XORL SI, SI
	SYSCALL1(SYS_prctl)
	SYSCALL1(SYS_setsid)

	// An ignored SIGCHLD outlives exec, and would make the kernel reap in our place.
	XORL AX, AX
	MOVQ AX, scratch
	MOVQ AX, 8+scratch
	MOVQ AX, 16+scratch
	MOVQ AX, 24+scratch
	MOVL $SIGCHLD, DI
	LEAQ scratch, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigaction)

	// "/\0"
	MOVQ $0x2f, AX
	MOVQ AX, scratch
	LEAQ scratch, DI
	SYSCALL1(SYS_chdir)

	// The arguments up to "--" are numbers, or "-" for none. Each takes the place of its string in argv. The third one is
	// a path, and stays.
	MOVL $1, R9
argument:
	MOVQ ARGV(BX)(R9*8), SI
	TESTQ SI, SI
	JEQ fail
	MOVBLZX (SI), AX
	CMPL AX, $'-'
	JEQ dash
	CMPL R9, $3
	JEQ path
	XORL DI, DI
digit:
	SUBL $'0', AX
	CMPL AX, $9
	JHI fail
	LEAQ (DI)(DI*4), DI
	LEAQ (AX)(DI*2), DI
	INCQ SI
	MOVBLZX (SI), AX
	TESTL AX, AX
	JNE digit
parsed:
	MOVQ DI, ARGV(BX)(R9*8)
	INCL R9
	JMP argument
path:
	CMPL AX, $'/'
	JNE fail
	MOVQ SI, DI
	JMP parsed
dash:
	MOVQ $-1, DI
	MOVBLZX 1(SI), AX
	TESTL AX, AX
	JEQ parsed
	CMPL R9, $5
	JLT fail
	LEAQ (ARGV+8)(BX)(R9*8), R13
	MOVQ (R13), AX
	TESTQ AX, AX
	JEQ fail
	MOVQ argc, AX
	LEAQ (ARGV+8)(BX)(AX*8), R14

	// The child has no business with these two. A pollfd without events still tells of a hang-up, and of what is no
	// descriptor.
	MOVQ (ARGV+8)(BX), DI
	MOVL DI, owner
	MOVL $0, 4+owner
	MOVL $F_SETFD, SI
	MOVL $FD_CLOEXEC, DX
	SYSCALL1(SYS_fcntl)
	MOVQ (ARGV+16)(BX), DI
	MOVL DI, container
	MOVL $POLLIN, 4+container
	MOVL $F_SETFD, SI
	MOVL $FD_CLOEXEC, DX
	SYSCALL1(SYS_fcntl)

	MOVL $-1, DI
	MOVQ $(1<<(SIGCHLD-1)), AX
	MOVQ AX, set
	LEAQ set, SI
	MOVL $8, DX
	MOVL $SIGNALFD_FLAGS, R10
	SYSCALL1(SYS_signalfd4)
	TESTQ AX, AX
	JLT fail
	MOVL AX, signals
	MOVL $POLLIN, 4+signals

	// "/dev/null\0"
	MOVQ $0x6c756e2f7665642f, AX
	MOVQ AX, scratch
	MOVQ $0x6c, AX
	MOVQ AX, 8+scratch
	MOVL $AT_FDCWD, DI
	LEAQ scratch, SI
	MOVL $NULL_FLAGS, DX
	SYSCALL1(SYS_openat)
	TESTQ AX, AX
	JLT fail
	MOVQ AX, R15
	XORL AX, AX
	MOVQ AX, delay
	MOVQ AX, base
	MOVQ AX, last

start:
	MOVQ followed, AX
	TESTQ AX, AX
	JGE look
launch:
	NOW
	MOVQ AX, started
	MOVL $SIGCHLD, DI
	XORL SI, SI
	XORL DX, DX
	XORL R10, R10
	XORL R8, R8
	SYSCALL1(SYS_clone)
	MOVQ AX, R12

	// Guard and first child both wait for what is to be in the socket's place: the child has only to execute then.
	MOVQ given, DI
	TESTQ DI, DI
	JLT has
	XORL AX, AX
	MOVQ AX, scratch
	MOVQ AX, 8+scratch
	LEAQ 56+scratch, AX // struct iovec
	MOVQ AX, 16+scratch
	MOVL $1, AX
	MOVQ AX, 24+scratch
	MOVQ AX, 64+scratch
	LEAQ 72+scratch, AX // struct cmsghdr and the descriptor
	MOVQ AX, 32+scratch
	MOVL $ONE_FD_SPACE, AX
	MOVQ AX, 40+scratch
	LEAQ 96+scratch, AX // the byte
	MOVQ AX, 56+scratch
	LEAQ scratch, SI
	MOVL $MSG_CMSG_CLOEXEC, DX
	SYSCALL1(SYS_recvmsg)
	TESTQ AX, AX
	JLE fail // its other end is gone
	MOVQ 40+scratch, AX
	CMPQ AX, $ONE_FD
	JLT fail
	MOVL 88+scratch, R9
	MOVL R9, DI
	MOVL given, SI
	XORL DX, DX
	SYSCALL1(SYS_dup3)
	TESTQ AX, AX
	JLT fail
	MOVL R9, DI
	SYSCALL1(SYS_close)
	MOVQ $-1, AX
	MOVQ AX, given
has:
	TESTQ R12, R12
	JEQ child

	// What only the first child was to have is /dev/null from now on: the number stays taken, and the other side sees
	// the end of the first child.
	TESTQ R15, R15
	JLT again
	LEAQ ONCE(BX), R9
replace:
	LEAQ 8(R9), AX
	CMPQ AX, R13 // before it lies "--"
	JEQ replaced
	MOVL R15, DI
	MOVL (R9), SI
	XORL DX, DX
	SYSCALL1(SYS_dup3)
	LEAQ 8(R9), R9
	JMP replace
replaced:
	MOVL R15, DI
	SYSCALL1(SYS_close)
	MOVQ $-1, R15
again:
	TESTQ R12, R12
	JLT died // no process could be made: as if it had ended

wait:
	TESTL R12, R12
	JNE alive
	NOW
	MOVQ deadline, DX
	SUBQ AX, DX
	JGE later
	XORL DX, DX
later:
	CMPQ DX, $(SECOND-1)
	JLE below
	MOVL $(SECOND-1), DX
below:
	XORL AX, AX
	MOVQ AX, time
	MOVQ DX, 8+time
	LEAQ time, DX
	JMP poll
alive:
	XORL DX, DX
	MOVQ followed, AX
	TESTQ AX, AX
	JLT poll
	MOVQ DX, 8+time
	MOVL $BETWEEN, DX
	MOVQ DX, time
	LEAQ time, DX
poll:
	LEAQ owner, DI
	MOVL $3, SI
	XORL R10, R10
	SYSCALL1(SYS_ppoll)
	CMPQ AX, $-EINTR // stopped and continued, or traced
	JEQ wait
	TESTQ AX, AX
	JLT fail
	JEQ due
	// Whose end is at hand starts no new child, whatever else there is.
	MOVWLZX revents(owner), AX
	MOVWLZX revents(container), CX
	ORL CX, AX
	JNE over
	MOVL signals, DI
	LEAQ scratch, SI
	MOVL $128, DX
	SYSCALL1(SYS_read)

	// One SIGCHLD stands for any number of children, and process 1 has others' too.
reap:
	MOVL $-1, DI
	XORL SI, SI
	MOVL $WALL_WNOHANG, DX
	XORL R10, R10
	SYSCALL1(SYS_wait4)
	TESTQ AX, AX
	JLE wait
	CMPL AX, R12
	JNE reap

died:
	XORL R12, R12
	NOW
	MOVQ AX, CX
	SUBQ started, CX
	MOVQ $LONG_LIFE, DX
	CMPQ CX, DX
	JLT failing
	MOVQ R12, delay
failing:
	MOVQ delay, CX
	ADDQ CX, AX
	MOVQ AX, deadline
	ADDQ CX, CX
	CMPQ CX, $SHORTEST
	JGE doubled
	MOVL $SHORTEST, CX
doubled:
	CMPQ CX, $LONGEST
	JLE limited
	MOVL $LONGEST, CX
limited:
	MOVQ CX, delay
	JMP reap

due:
	TESTL R12, R12
	JEQ start

	// What the file says is known by a sum of its bytes. Without a child it is what the next one begins with. One that is
	// missing or empty says nothing.
look:
	MOVL $AT_FDCWD, DI
	MOVQ followed, SI
	MOVL $READ_FLAGS, DX
	XORL R10, R10
	SYSCALL1(SYS_openat)
	TESTQ AX, AX
	JLT looked
	MOVQ AX, R9
	MOVL R9, DI
	LEAQ text, SI
	MOVL $TEXT_SIZE, DX
	SYSCALL1(SYS_read)
	MOVQ AX, R8
	MOVL R9, DI
	SYSCALL1(SYS_close)
	TESTQ R8, R8
	JLE looked
	LEAQ text, SI
	MOVQ $PRIME, CX
	MOVQ CX, AX
sum:
	MOVBLZX (SI), DX
	XORQ DX, AX
	IMULQ CX, AX
	INCQ SI
	DECQ R8
	JNE sum
	MOVQ last, CX
	MOVQ AX, last
	TESTL R12, R12
	JNE compare
	MOVQ AX, base
	JMP launch
compare:
	CMPQ AX, CX // half of it may be written: what counts is what stays
	JNE wait
	CMPQ AX, base
	JEQ wait
	MOVQ AX, base
	MOVL R12, DI
	MOVL $SIGKILL, SI
	SYSCALL1(SYS_kill)
	JMP wait
looked:
	TESTL R12, R12
	JNE wait
	JMP launch

child:
	MOVQ AX, set
	MOVL $SIG_SETMASK, DI
	LEAQ set, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigprocmask)
	MOVQ (R13), DI
	MOVQ R13, SI
	MOVQ R14, DX
	SYSCALL1(SYS_execve)
	MOVL $127, DI
	JMP exit

over:
	XORL DI, DI
exit:
	SYSCALL1(SYS_exit_group)

fail:
	MOVL $125, DI
	JMP exit

	// "rl-guard is over"
	QUAD $0x64726175672d6c72
	QUAD $0x7265766f20736920

// func text() *[static.Max]byte
TEXT ·text(SB), NOSPLIT, $0-8
	LEAQ program<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
