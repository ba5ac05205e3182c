// The init for arm64; the package comment says what it does, and pid1_amd64.s does the same line by line.
//
// A system call takes its number in R8 and its arguments in R0 to R5; it destroys R0 only. R27, which the assembler may
// use for itself, R18 and R28 are left alone. Nothing is called, so the program needs no convention but these:
//
//	R19  the frame
//	R20  pid of the command; in sweep the pid being read
//	R21  what the init is: pid1, detached, the parent's pid, or 0 for an unknown parent; in sweep how many were killed
//	R22  descriptor of the list of children
//	R23  the exit status
//	R24  in sweep the offset in the list of children
//	R25  in sweep the next character of it
//
// The stand-in uses R20 for the pid of init, R21 for the directory, R22 for the next word of its environment, and R23
// for the pipe of signals until it is the exit status.

#include "textflag.h"

// Linux, include/uapi/asm-generic/unistd.h
#define SYS_unlinkat 35
#define SYS_openat 56
#define SYS_close 57
#define SYS_read 63
#define SYS_pread64 67
#define SYS_exit_group 94
#define SYS_waitid 95
#define SYS_kill 129
#define SYS_rt_sigaction 134
#define SYS_rt_sigprocmask 135
#define SYS_rt_sigtimedwait 137
#define SYS_setsid 157
#define SYS_prctl 167
#define SYS_getpid 172
#define SYS_getppid 173
#define SYS_wait4 260

#define EINTR 4
#define EAGAIN 11
#define SIGKILL 9
#define SIGCHLD 17
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGRTMAX 64
#define SIG_SETMASK 2
#define PR_SET_PDEATHSIG 1
#define PR_SET_NAME 15
#define AT_FDCWD -100
#define AT_REMOVEDIR 0x200
#define O_CLOEXEC 0x80000
#define P_PID 1
#define WALL 0x40000000
#define WALL_WNOHANG 0x40000001
// __WALL|WNOWAIT|WEXITED|WNOHANG
#define PEEK 0x41000005

// SIGPIPE, SIGTTIN, SIGTTOU, SIGURG: the bits of the signal numbers that are not sent on
#define DROPPED 0x00e02000

// values of R21
#define pid1 -2
#define detached -1

// offsets in the frame
#define all 0 // signal set of all signals
#define scratch 8 // pid, name, wait status
#define zeros 16 // struct sigaction, 32 bytes
#define heir 16 // of the stand-in, the pid of the heir or 0
#define buffer 64
#define BUFSIZE 1024
#define FRAME 1104 // with a byte after the buffer for the sentinel
// above it what the kernel left: argc, argv
#define argv(i) (FRAME+8+8*i)(R19)

#define SYSCALL1(number) \
	MOVD $number, R8; \
	SVC

// A constant of 64 bits, without the literal pool: the program has no data.
#define CONST(a, b, c, d, reg) \
	MOVZ $a, reg; \
	MOVK $(b<<16), reg; \
	MOVK $(c<<32), reg; \
	MOVK $(d<<48), reg

// DECIMAL reads the number at R1 into R0, up to its NUL.
#define DECIMAL(digit, done) \
	MOVD ZR, R0; \
	MOVD $10, R3; \
digit: \
	MOVBU.P 1(R1), R2; \
	CBZ R2, done; \
	SUB $'0', R2; \
	CMP $9, R2; \
	BHI fail; \
	MADD R3, R2, R0, R0; \
	B digit; \
done:

TEXT program<>(SB), NOSPLIT|NOFRAME, $0-0
	SUB $FRAME, RSP, R19
	MOVD R19, RSP

	// An environment makes it the launcher's stand-in.
	MOVD FRAME(R19), R0
	ADD $(FRAME+16), R19, R22
	ADD R0<<3, R22
	MOVD (R22), R1
	CBNZ R1, standIn

	// Block all signals: they are waited for, not handled.
	MOVD $-1, R0
	MOVD R0, all(R19)
	MOVD $SIG_SETMASK, R0
	ADD $all, R19, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigprocmask)

	// "rl-init\0"
	CONST(0x6c72, 0x692d, 0x696e, 0x0074, R0)
	MOVD R0, scratch(R19)
	MOVD $PR_SET_NAME, R0
	ADD $scratch, R19, R1
	SYSCALL1(SYS_prctl)

	// An ignored SIGCHLD outlives exec, and would make the kernel reap in our place.
	MOVD ZR, zeros(R19)
	MOVD ZR, (8+zeros)(R19)
	MOVD ZR, (16+zeros)(R19)
	MOVD ZR, (24+zeros)(R19)
	MOVD $SIGCHLD, R0
	ADD $zeros, R19, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigaction)

	SYSCALL1(SYS_setsid)

	// argv[1]: where to read the command's pid
	MOVD argv(1), R1
	CBZ R1, fail
	DECIMAL(fdDigit, fdDone)
	MOVW R0, R23
read:
	MOVD R23, R0
	ADD $scratch, R19, R1
	MOVD $8, R2
	SYSCALL1(SYS_read)
	CMN $EINTR, R0
	BEQ read
	CMP $8, R0
	BNE fail
	MOVD scratch(R19), R20
	// 0 and negative numbers would make kill and wait4 mean more than one process.
	CBZ R20, fail
	LSR $31, R20, R0
	CBNZ R0, fail

	// Hold nothing open: not the eventfd, and not the pipes and terminals of the command either.
	MOVD R23, R0
	SYSCALL1(SYS_close)
	MOVD $2, R23
close:
	MOVD R23, R0
	SYSCALL1(SYS_close)
	SUBS $1, R23
	BPL close

	// argv[2]: is there a tree to kill at the end?
	MOVD $pid1, R21
	MOVD argv(2), R1
	CBZ R1, reap

	// "/proc/thread-self/children\0"
	CONST(0x702f, 0x6f72, 0x2f63, 0x6874, R0)
	MOVD R0, buffer(R19)
	CONST(0x6572, 0x6461, 0x732d, 0x6c65, R0)
	MOVD R0, (8+buffer)(R19)
	CONST(0x2f66, 0x6863, 0x6c69, 0x7264, R0)
	MOVD R0, (16+buffer)(R19)
	MOVD $0x6e65, R0
	MOVD R0, (24+buffer)(R19)
	MOVD $AT_FDCWD, R0
	ADD $buffer, R19, R1
	MOVD $O_CLOEXEC, R2
	SYSCALL1(SYS_openat)
	MOVD R0, R22

	// argv[3]: the parent whose death ends the tree; without it any parent's, and no parent's if it is 0
	MOVD ZR, R21
	MOVD argv(3), R1
	CBZ R1, arm
	DECIMAL(parentDigit, parentDone)
	MOVD R0, R21
	CBNZ R21, arm
	MOVD $detached, R21
	B reap
arm:
	MOVD $PR_SET_PDEATHSIG, R0
	MOVD $SIGRTMAX, R1
	SYSCALL1(SYS_prctl)
	CBZ R21, reap
	SYSCALL1(SYS_getppid)
	CMP R21, R0
	BNE orphaned

	// Reap before the first wait: a child that died before the exec raised its SIGCHLD before, and one pending SIGCHLD
	// stands for any number of children.
reap:
	MOVD $-1, R0
	ADD $scratch, R19, R1
	MOVD $WALL_WNOHANG, R2
	MOVD ZR, R3
	SYSCALL1(SYS_wait4)
	CMP $0, R0
	BLT fail // ECHILD: the command was never ours
	BEQ wait
	CMP R20, R0
	BNE reap

	// The command is dead.
	MOVWU scratch(R19), R0
	AND $0x7f, R0, R1
	LSR $8, R0, R23
	AND $0xff, R23
	CBZ R1, ended
	ADD $128, R1, R23
ended:
	CMN $2, R21 // pid1
	BEQ exit
	MOVD argv(2), R1
	MOVBU (R1), R0
	CMP $'t', R0 // not loose
	BEQ sweep
exit:
	MOVD R23, R0
	SYSCALL1(SYS_exit_group)

fail:
	MOVD $125, R23
	B exit

wait:
	ADD $all, R19, R0
	MOVD ZR, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigtimedwait)
	CMP $0, R0
	BGT signal
	CMN $EINTR, R0 // stopped and continued, or traced
	BEQ wait
	CMN $EAGAIN, R0
	BEQ wait
	B fail
signal:
	CMP $SIGCHLD, R0
	BEQ reap
	MOVD $DROPPED, R2
	LSR R0, R2, R2
	TBNZ $0, R2, wait
	MOVD R0, R1
	CMP $SIGRTMAX, R0
	BNE forward
	CMP $0, R21
	BLT forward
	BEQ orphaned // an unknown parent: getppid tells nothing
	SYSCALL1(SYS_getppid)
	CMP R21, R0
	BNE orphaned
forward:
	MOVD R20, R0
	SYSCALL1(SYS_kill)
	B wait

	// The parent died. The command is alive or a zombie, so its pid is still its own.
orphaned:
	MOVD R20, R0
	MOVD $SIGKILL, R1
	SYSCALL1(SYS_kill)
	MOVD $(128+SIGKILL), R23

	// Kill one generation of children and reap it; the next one is then ours, by reparenting, before wait4 returns.
	// Who forks in the meantime is found in the next round: a process with a SIGKILL pending cannot fork.
sweep:
	MOVD $-1, R0
	MOVD ZR, R1
	MOVD $WALL_WNOHANG, R2
	MOVD ZR, R3
	SYSCALL1(SYS_wait4)
	CMP $0, R0
	BGT sweep
	BLT exit // ECHILD: nobody is left
	MOVD ZR, R20
	MOVD ZR, R21
	MOVD ZR, R24
chunk:
	MOVD R22, R0
	ADD $buffer, R19, R1
	MOVD $BUFSIZE, R2
	MOVD R24, R3
	SYSCALL1(SYS_pread64)
	CMP $0, R0
	BLE swept
	ADD R0, R24
	ADD $buffer, R19, R25
	MOVB ZR, (R25)(R0) // the sentinel
	MOVD $10, R3
char:
	MOVBU.P 1(R25), R2
	CBZ R2, chunk // a pid that is cut in two goes on there
	SUB $'0', R2
	CMP $9, R2
	BHI space
	MADD R3, R2, R20, R20
	B char
space:
	CBZ R20, char
	// Only a child of ours is killed, whatever the list says. Nobody else reaps it, so the pid cannot change owner.
	MOVD $P_PID, R0
	MOVD R20, R1
	MOVD ZR, R2
	MOVD $PEEK, R3
	MOVD ZR, R4
	SYSCALL1(SYS_waitid)
	CBNZ R0, next
	MOVD R20, R0
	MOVD $SIGKILL, R1
	SYSCALL1(SYS_kill)
	CBNZ R0, next
	ADD $1, R21
next:
	MOVD ZR, R20
	MOVD $10, R3
	B char
swept:
	CBZ R21, exit // children that are hidden or may not be signalled
	MOVD $-1, R0
	MOVD ZR, R1
	MOVD $WALL, R2
	MOVD ZR, R3
	SYSCALL1(SYS_wait4)
	B sweep

	// The launcher's stand-in. All signals are blocked already.
standIn:
	DECIMAL(pidDigit, pidDone)
	MOVD R0, R20
	MOVD 8(R22), R1
	DECIMAL(pipeDigit, pipeDone)
	MOVD R0, R23
	MOVD 16(R22), R1
	DECIMAL(setDigit, setDone)
	MOVD R0, all(R19)
	MOVD 24(R22), R1
	DECIMAL(heirDigit, heirDone)
	MOVD R0, heir(R19)
	ADD $32, R22

	// "rl-run\0"
	MOVZ $0x6c72, R0
	MOVK $(0x722d<<16), R0
	MOVK $(0x6e75<<32), R0
	MOVD R0, scratch(R19)
	MOVD $PR_SET_NAME, R0
	ADD $scratch, R19, R1
	SYSCALL1(SYS_prctl)

	// what the launcher's handlers caught before they were gone
	MOVW ZR, scratch(R19)
caught:
	MOVD R23, R0
	ADD $scratch, R19, R1
	MOVD $4, R2
	SYSCALL1(SYS_read)
	CMN $EINTR, R0
	BEQ caught
	CMP $4, R0
	BNE peek
	MOVWU scratch(R19), R0
	MOVD ZR, R21 // more may wait in the pipe
	B pass

peek:
	MOVD R20, R0
	ADD $scratch, R19, R1
	MOVD $WALL_WNOHANG, R2
	MOVD ZR, R3
	SYSCALL1(SYS_wait4)
	CMP $0, R0
	BLT fail
	BGT over
stay:
	ADD $all, R19, R0
	MOVD ZR, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigtimedwait)
	CMN $EINTR, R0
	BEQ peek
	CMN $EAGAIN, R0
	BEQ peek
	CMP $0, R0
	BLT fail
	CMP $SIGCHLD, R0
	BEQ peek
	MOVD $1, R21
pass:
	MOVD R0, R1
	MOVD R20, R0
	CMP $SIGTSTP, R1
	BNE send
	SYSCALL1(SYS_getpid)
	MOVD $SIGSTOP, R1
send:
	SYSCALL1(SYS_kill)
	CBZ R21, caught
	B stay

	// Remove what the environment names: the directory's descriptor, then names in it; those that begin with a point are
	// directories.
over:
	MOVWU scratch(R19), R0
	AND $0x7f, R0, R1
	LSR $8, R0, R23
	AND $0xff, R23
	CBZ R1, left
	ADD $128, R1, R23
left:
	MOVD (R22), R1
	CBZ R1, tidy
	DECIMAL(dirDigit, dirDone)
	MOVD R0, R21
remove:
	ADD $8, R22
	MOVD (R22), R1
	CBZ R1, tidy
	MOVD ZR, R2
	MOVBU (R1), R0
	CMP $'.', R0
	BNE unlink
	MOVD $AT_REMOVEDIR, R2
unlink:
	MOVD R21, R0
	SYSCALL1(SYS_unlinkat)
	B remove

	// Nothing is left to do for the heir.
tidy:
	MOVD heir(R19), R0
	CBZ R0, exit
	MOVD $SIGKILL, R1
	SYSCALL1(SYS_kill)
	MOVD heir(R19), R0
	MOVD ZR, R1
	MOVD $WALL, R2
	MOVD ZR, R3
	SYSCALL1(SYS_wait4)
	B exit

	// "rl-init ends now"
	WORD $0x692d6c72
	WORD $0x2074696e
	WORD $0x73646e65
	WORD $0x776f6e20

// func text() *[static.Max]byte
TEXT ·text(SB), NOSPLIT, $0-8
	MOVD $program<>(SB), R0
	MOVD R0, ret+0(FP)
	RET
