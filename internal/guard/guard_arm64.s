// The guard for arm64; the package comment says what it does, and guard_amd64.s does the same line by line.
//
// A system call takes its number in R8 and its arguments in R0 to R5; it destroys R0 only. R27, which the assembler may
// use for itself, R18 and R28 are left alone. Nothing is called, so the program needs no convention but these:
//
//	R19  the frame
//	R20  pid of the child, or 0
//	R21  the child's arguments
//	R22  the child's environment
//	R23  a descriptor of /dev/null until the first start is done, then negative
//	R24  a place in the arguments, or in a text
//	R25  a descriptor
//	R26  how much of a text is left

#include "textflag.h"
#include "guard.h"
#include "calls_arm64.h"

// offsets in the frame
#define owner 0 // struct pollfd of the owner
#define container 8 // struct pollfd of the container
#define signals 16 // struct pollfd of SIGCHLD
#define time 24 // struct timespec
#define started 40 // when the child was started
#define deadline 48 // when it is to be started again
#define delay 56 // how long its next death makes wait
#define scratch 64 // struct signalfd_siginfo, 128 bytes; strings, a struct sigaction, a message
#define set 192 // a signal set
#define base 200 // sum of the followed file when the child was started
#define last 208 // and at the last look
#define FRAME 224
// above it what the kernel left: argc, argv
#define argc FRAME
#define ARGV (FRAME+8)
#define followed (ARGV+24) // path of a file, or negative
#define given (ARGV+32) // a socket, until what comes there has taken its place; then negative
#define ONCE (ARGV+40)

#define SYSCALL1(number) \
	MOVD $number, R8; \
	SVC

// A constant of 64 bits, without the literal pool: the program has no data.
#define CONST(a, b, c, d, reg) \
	MOVZ $a, reg; \
	MOVK $(b<<16), reg; \
	MOVK $(c<<32), reg; \
	MOVK $(d<<48), reg

// NOW reads the monotonic clock into R0, in nanoseconds.
#define NOW \
	MOVD $CLOCK_MONOTONIC, R0; \
	ADD $time, R19, R1; \
	SYSCALL1(SYS_clock_gettime); \
	MOVD time(R19), R0; \
	MOVD (8+time)(R19), R1; \
	MOVD $SECOND, R2; \
	MADD R2, R1, R0, R0

TEXT program<>(SB), NOSPLIT|NOFRAME, $0-0
	SUB $FRAME, RSP, R19
	SUB $TEXT_SIZE, R19, R0
	MOVD R0, RSP

	// Block all signals: none of them ends the guard or interrupts it.
	MOVD $-1, R0
	MOVD R0, set(R19)
	MOVD $SIG_SETMASK, R0
	ADD $set, R19, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigprocmask)

	// "rl-guard\0"
	CONST(0x6c72, 0x672d, 0x6175, 0x6472, R0)
	MOVD R0, scratch(R19)
	MOVD ZR, (8+scratch)(R19)
	MOVD $PR_SET_NAME, R0
	ADD $scratch, R19, R1
	SYSCALL1(SYS_prctl)

	// Owner and container end the guard, not the end of its starter.
	MOVD $PR_SET_PDEATHSIG, R0
	MOVD ZR, R1
	SYSCALL1(SYS_prctl)
	SYSCALL1(SYS_setsid)

	// An ignored SIGCHLD outlives exec, and would make the kernel reap in our place.
	MOVD ZR, scratch(R19)
	MOVD ZR, (8+scratch)(R19)
	MOVD ZR, (16+scratch)(R19)
	MOVD ZR, (24+scratch)(R19)
	MOVD $SIGCHLD, R0
	ADD $scratch, R19, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigaction)

	// "/\0"
	MOVD $0x2f, R0
	MOVD R0, scratch(R19)
	ADD $scratch, R19, R0
	SYSCALL1(SYS_chdir)

	// The arguments up to "--" are numbers, or "-" for none. Each takes the place of its string in argv. The third one is
	// a path, and stays.
	ADD $(ARGV+8), R19, R24
argument:
	MOVD (R24), R1
	CBZ R1, fail
	MOVBU (R1), R2
	CMP $'-', R2
	BEQ dash
	ADD $followed, R19, R0
	CMP R0, R24
	BEQ path
	MOVD ZR, R0
	MOVD $10, R3
digit:
	SUB $'0', R2
	CMP $9, R2
	BHI fail
	MADD R3, R2, R0, R0
	MOVBU.W 1(R1), R2
	CBNZ R2, digit
parsed:
	MOVD.P R0, 8(R24)
	B argument
path:
	CMP $'/', R2
	BNE fail
	MOVD R1, R0
	B parsed
dash:
	MOVD $-1, R0
	MOVBU 1(R1), R2
	CBZ R2, parsed
	ADD $ONCE, R19, R1
	CMP R1, R24
	BLO fail
	ADD $8, R24, R21
	MOVD (R21), R0
	CBZ R0, fail
	MOVD argc(R19), R0
	ADD $(ARGV+8), R19, R22
	ADD R0<<3, R22

	// The child has no business with these two. A pollfd without events still tells of a hang-up, and of what is no
	// descriptor.
	MOVD (ARGV+8)(R19), R0
	MOVW R0, owner(R19)
	MOVW ZR, (4+owner)(R19)
	MOVD $F_SETFD, R1
	MOVD $FD_CLOEXEC, R2
	SYSCALL1(SYS_fcntl)
	MOVD (ARGV+16)(R19), R0
	MOVW R0, container(R19)
	MOVD $POLLIN, R1
	MOVW R1, (4+container)(R19)
	MOVD $F_SETFD, R1
	MOVD $FD_CLOEXEC, R2
	SYSCALL1(SYS_fcntl)

	MOVD $-1, R0
	MOVD $(1<<(SIGCHLD-1)), R1
	MOVD R1, set(R19)
	ADD $set, R19, R1
	MOVD $8, R2
	MOVD $SIGNALFD_FLAGS, R3
	SYSCALL1(SYS_signalfd4)
	TBNZ $63, R0, fail
	MOVW R0, signals(R19)
	MOVD $POLLIN, R1
	MOVW R1, (4+signals)(R19)

	// "/dev/null\0"
	CONST(0x642f, 0x7665, 0x6e2f, 0x6c75, R0)
	MOVD R0, scratch(R19)
	MOVD $0x6c, R0
	MOVD R0, (8+scratch)(R19)
	MOVD $AT_FDCWD, R0
	ADD $scratch, R19, R1
	MOVD $NULL_FLAGS, R2
	SYSCALL1(SYS_openat)
	TBNZ $63, R0, fail
	MOVD R0, R23
	MOVD ZR, delay(R19)
	MOVD ZR, base(R19)
	MOVD ZR, last(R19)

start:
	MOVD followed(R19), R1
	TBZ $63, R1, look
launch:
	NOW
	MOVD R0, started(R19)
	MOVD $SIGCHLD, R0
	MOVD ZR, R1
	MOVD ZR, R2
	MOVD ZR, R3
	MOVD ZR, R4
	SYSCALL1(SYS_clone)
	MOVD R0, R20

	// Guard and first child both wait for what is to be in the socket's place: the child has only to execute then.
	MOVD given(R19), R0
	TBNZ $63, R0, has
	MOVD ZR, scratch(R19)
	MOVD ZR, (8+scratch)(R19)
	ADD $(56+scratch), R19, R1 // struct iovec
	MOVD R1, (16+scratch)(R19)
	MOVD $1, R1
	MOVD R1, (24+scratch)(R19)
	MOVD R1, (64+scratch)(R19)
	ADD $(72+scratch), R19, R1 // struct cmsghdr and the descriptor
	MOVD R1, (32+scratch)(R19)
	MOVD $ONE_FD_SPACE, R1
	MOVD R1, (40+scratch)(R19)
	ADD $(96+scratch), R19, R1 // the byte
	MOVD R1, (56+scratch)(R19)
	ADD $scratch, R19, R1
	MOVD $MSG_CMSG_CLOEXEC, R2
	SYSCALL1(SYS_recvmsg)
	CMP $0, R0
	BLE fail // its other end is gone
	MOVD (40+scratch)(R19), R1
	CMP $ONE_FD, R1
	BLT fail
	MOVWU (88+scratch)(R19), R25
	MOVD R25, R0
	MOVD given(R19), R1
	MOVD ZR, R2
	SYSCALL1(SYS_dup3)
	TBNZ $63, R0, fail
	MOVD R25, R0
	SYSCALL1(SYS_close)
	MOVD $-1, R0
	MOVD R0, given(R19)
has:
	CBZ R20, child

	// What only the first child was to have is /dev/null from now on: the number stays taken, and the other side sees
	// the end of the first child.
	TBNZ $63, R23, again
	ADD $ONCE, R19, R24
replace:
	ADD $8, R24, R0
	CMP R0, R21 // before it lies "--"
	BEQ replaced
	MOVD R23, R0
	MOVD.P 8(R24), R1
	MOVD ZR, R2
	SYSCALL1(SYS_dup3)
	B replace
replaced:
	MOVD R23, R0
	SYSCALL1(SYS_close)
	MOVD $-1, R23
again:
	TBNZ $63, R20, died // no process could be made: as if it had ended

wait:
	CBNZ R20, alive
	NOW
	MOVD deadline(R19), R2
	SUBS R0, R2
	BGE later
	MOVD ZR, R2
later:
	MOVD $(SECOND-1), R1
	CMP R1, R2
	BLE below
	MOVD R1, R2
below:
	MOVD ZR, time(R19)
	MOVD R2, (8+time)(R19)
	ADD $time, R19, R2
	B poll
alive:
	MOVD ZR, R2
	MOVD followed(R19), R0
	TBNZ $63, R0, poll
	MOVD ZR, (8+time)(R19)
	MOVD $BETWEEN, R2
	MOVD R2, time(R19)
	ADD $time, R19, R2
poll:
	ADD $owner, R19, R0
	MOVD $3, R1
	MOVD ZR, R3
	SYSCALL1(SYS_ppoll)
	CMN $EINTR, R0 // stopped and continued, or traced
	BEQ wait
	CMP $0, R0
	BLT fail
	BEQ due
	// Whose end is at hand starts no new child, whatever else there is.
	MOVHU (6+owner)(R19), R0 // revents
	MOVHU (6+container)(R19), R1
	ORR R1, R0
	CBNZ R0, over
	MOVWU signals(R19), R0
	ADD $scratch, R19, R1
	MOVD $128, R2
	SYSCALL1(SYS_read)

	// One SIGCHLD stands for any number of children, and process 1 has others' too.
reap:
	MOVD $-1, R0
	MOVD ZR, R1
	MOVD $WALL_WNOHANG, R2
	MOVD ZR, R3
	SYSCALL1(SYS_wait4)
	CMP $0, R0
	BLE wait
	CMP R20, R0
	BNE reap

died:
	MOVD ZR, R20
	NOW
	MOVD started(R19), R1
	SUB R1, R0, R1
	MOVZ $0xe400, R2 // LONG_LIFE
	MOVK $(0x540b<<16), R2
	MOVK $(0x2<<32), R2
	CMP R2, R1
	BLT failing
	MOVD ZR, delay(R19)
failing:
	MOVD delay(R19), R1
	ADD R1, R0
	MOVD R0, deadline(R19)
	ADD R1, R1
	MOVD $SHORTEST, R2
	CMP R2, R1
	BGE doubled
	MOVD R2, R1
doubled:
	MOVD $LONGEST, R2
	CMP R2, R1
	BLE limited
	MOVD R2, R1
limited:
	MOVD R1, delay(R19)
	B reap

due:
	CBZ R20, start

	// What the file says is known by a sum of its bytes. Without a child it is what the next one begins with. One that is
	// missing or empty says nothing.
look:
	MOVD $AT_FDCWD, R0
	MOVD followed(R19), R1
	MOVD $READ_FLAGS, R2
	MOVD ZR, R3
	SYSCALL1(SYS_openat)
	TBNZ $63, R0, looked
	MOVD R0, R25
	SUB $TEXT_SIZE, R19, R24
	MOVD R24, R1
	MOVD $TEXT_SIZE, R2
	SYSCALL1(SYS_read)
	MOVD R0, R26
	MOVD R25, R0
	SYSCALL1(SYS_close)
	CMP $0, R26
	BLE looked
	MOVZ $0x1b3, R2 // PRIME
	MOVK $(0x100<<32), R2
	MOVD R2, R0
sum:
	MOVBU.P 1(R24), R1
	EOR R1, R0
	MUL R2, R0
	SUB $1, R26
	CBNZ R26, sum
	MOVD last(R19), R1
	MOVD R0, last(R19)
	CBNZ R20, compare
	MOVD R0, base(R19)
	B launch
compare:
	CMP R1, R0 // half of it may be written: what counts is what stays
	BNE wait
	MOVD base(R19), R1
	CMP R1, R0
	BEQ wait
	MOVD R0, base(R19)
	MOVD R20, R0
	MOVD $SIGKILL, R1
	SYSCALL1(SYS_kill)
	B wait
looked:
	CBNZ R20, wait
	B launch

child:
	MOVD ZR, set(R19)
	MOVD $SIG_SETMASK, R0
	ADD $set, R19, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigprocmask)
	MOVD (R21), R0
	MOVD R21, R1
	MOVD R22, R2
	SYSCALL1(SYS_execve)
	MOVD $127, R0
	B exit

over:
	MOVD ZR, R0
exit:
	SYSCALL1(SYS_exit_group)

fail:
	MOVD $125, R0
	B exit

	// "rl-guard is over"
	WORD $0x672d6c72
	WORD $0x64726175
	WORD $0x20736920
	WORD $0x7265766f

// func text() *[static.Max]byte
TEXT ·text(SB), NOSPLIT, $0-8
	MOVD $program<>(SB), R0
	MOVD R0, ret+0(FP)
	RET
