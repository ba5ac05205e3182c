// The init for amd64; the package comment says what it does, and pid1_arm64.s does the same line by line.
//
// A system call takes its number in AX and its arguments in DI, SI, DX, R10, R8, R9; it destroys AX, CX and R11 only.
// CX keeps nothing here, and nothing is called, so the program needs no convention but these:
//
//	BX   the frame
//	R12  pid of the command; in sweep the pid being read
//	R13  what the init is: pid1, detached, the parent's pid, or 0 for an unknown parent; in sweep how many were killed
//	R14  descriptor of the list of children
//	R15  the exit status; in the stand-in before that the pipe of signals
//
// The stand-in uses R12 for the pid of init, R13 for the directory and R14 for the next word of its environment.

#include "textflag.h"

// Linux, arch/x86/entry/syscalls/syscall_64.tbl
#define SYS_read 0
#define SYS_close 3
#define SYS_rt_sigaction 13
#define SYS_rt_sigprocmask 14
#define SYS_pread64 17
#define SYS_wait4 61
#define SYS_kill 62
#define SYS_getppid 110
#define SYS_setsid 112
#define SYS_rt_sigtimedwait 128
#define SYS_prctl 157
#define SYS_getpid 39
#define SYS_unlinkat 263
#define SYS_exit_group 231
#define SYS_waitid 247
#define SYS_openat 257

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

// values of R13
#define pid1 -2
#define detached -1

// the frame
#define all 0(BX) // signal set of all signals
#define scratch 8(BX) // pid, name, wait status; in sweep the offset in the list of children
#define zeros 16(BX) // struct sigaction, 32 bytes
#define heir 16(BX) // of the stand-in, the pid of the heir or 0
#define buffer 64(BX)
#define BUFSIZE 1024
#define FRAME 1104 // with a byte after the buffer for the sentinel
// above it what the kernel left: argc, argv
#define argv(i) (FRAME+8+8*i)(BX)

#define SYSCALL1(number) \
	MOVL $number, AX; \
	SYSCALL

// DECIMAL reads the number at SI into DI, up to its NUL.
#define DECIMAL(digit, done) \
	XORL DI, DI; \
digit: \
	MOVBLZX (SI), AX; \
	TESTL AX, AX; \
	JEQ done; \
	SUBL $'0', AX; \
	CMPL AX, $9; \
	JHI fail; \
	LEAQ (DI)(DI*4), DI; \
	LEAQ (AX)(DI*2), DI; \
	INCQ SI; \
	JMP digit; \
done:

TEXT program<>(SB), NOSPLIT|NOFRAME, $0-0
	LEAQ -FRAME(SP), BX
	MOVQ BX, SP

	// An environment makes it the launcher's stand-in.
	MOVQ FRAME(BX), AX
	LEAQ (FRAME+16)(BX)(AX*8), R14
	MOVQ (R14), SI
	TESTQ SI, SI
	JNE standIn

	// Block all signals: they are waited for, not handled.
	MOVQ $-1, all
	MOVL $SIG_SETMASK, DI
	LEAQ all, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigprocmask)

	// "rl-init\0"
	MOVQ $0x0074696e692d6c72, AX
	MOVQ AX, scratch
	MOVL $PR_SET_NAME, DI
	LEAQ scratch, SI
	SYSCALL1(SYS_prctl)

	// An ignored SIGCHLD outlives exec, and would make the kernel reap in our place.
	XORL AX, AX
	MOVQ AX, zeros
	MOVQ AX, 8+zeros
	MOVQ AX, 16+zeros
	MOVQ AX, 24+zeros
	MOVL $SIGCHLD, DI
	LEAQ zeros, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigaction)

	SYSCALL1(SYS_setsid)

	// argv[1]: where to read the command's pid
	MOVQ argv(1), SI
	TESTQ SI, SI
	JEQ fail
	DECIMAL(fdDigit, fdDone)
	MOVL DI, R15
read:
	MOVL R15, DI
	LEAQ scratch, SI
	MOVL $8, DX
	SYSCALL1(SYS_read)
	CMPQ AX, $-EINTR
	JEQ read
	CMPQ AX, $8
	JNE fail
	MOVQ scratch, R12
	// 0 and negative numbers would make kill and wait4 mean more than one process.
	TESTQ R12, R12
	JEQ fail
	MOVQ R12, AX
	SHRQ $31, AX
	JNE fail

	// Hold nothing open: not the eventfd, and not the pipes and terminals of the command either.
	MOVL R15, DI
	SYSCALL1(SYS_close)
	MOVL $2, R15
close:
	MOVL R15, DI
	SYSCALL1(SYS_close)
	DECL R15
	JPL close

	// argv[2]: is there a tree to kill at the end?
	MOVQ $pid1, R13
	MOVQ argv(2), SI
	TESTQ SI, SI
	JEQ reap

	// "/proc/thread-self/children\0"
	MOVQ $0x68742f636f72702f, AX
	MOVQ AX, buffer
	MOVQ $0x6c65732d64616572, AX
	MOVQ AX, 8+buffer
	MOVQ $0x72646c6968632f66, AX
	MOVQ AX, 16+buffer
	MOVQ $0x6e65, AX
	MOVQ AX, 24+buffer
	MOVL $AT_FDCWD, DI
	LEAQ buffer, SI
	MOVL $O_CLOEXEC, DX
	SYSCALL1(SYS_openat)
	MOVQ AX, R14

	// argv[3]: the parent whose death ends the tree; without it any parent's, and no parent's if it is 0
	XORL R13, R13
	MOVQ argv(3), SI
	TESTQ SI, SI
	JEQ arm
	DECIMAL(parentDigit, parentDone)
	MOVQ DI, R13
	TESTQ R13, R13
	JNE arm
	MOVQ $detached, R13
	JMP reap
arm:
	MOVL $PR_SET_PDEATHSIG, DI
	MOVL $SIGRTMAX, SI
	SYSCALL1(SYS_prctl)
	TESTQ R13, R13
	JEQ reap
	SYSCALL1(SYS_getppid)
	CMPQ AX, R13
	JNE orphaned

	// Reap before the first wait: a child that died before the exec raised its SIGCHLD before, and one pending SIGCHLD
	// stands for any number of children.
reap:
	MOVL $-1, DI
	LEAQ scratch, SI
	MOVL $WALL_WNOHANG, DX
	XORL R10, R10
	SYSCALL1(SYS_wait4)
	TESTQ AX, AX
	JLT fail // ECHILD: the command was never ours
	JEQ wait
	CMPQ AX, R12
	JNE reap

	// The command is dead.
	MOVL scratch, AX
	MOVL AX, R15
	SHRL $8, R15
	ANDL $0xff, R15
	ANDL $0x7f, AX
	JEQ ended
	LEAL 128(AX), R15
ended:
	CMPQ R13, $pid1
	JEQ exit
	MOVQ argv(2), SI
	CMPB (SI), $'t' // not loose
	JEQ sweep
exit:
	MOVL R15, DI
	SYSCALL1(SYS_exit_group)

fail:
	MOVL $125, R15
	JMP exit

wait:
	LEAQ all, DI
	XORL SI, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigtimedwait)
	TESTQ AX, AX
	JGT signal
	CMPQ AX, $-EINTR // stopped and continued, or traced
	JEQ wait
	CMPQ AX, $-EAGAIN
	JEQ wait
	JMP fail
signal:
	CMPL AX, $SIGCHLD
	JEQ reap
	MOVL $DROPPED, CX
	BTQ AX, CX
	JCS wait
	MOVL AX, SI
	CMPL AX, $SIGRTMAX
	JNE forward
	TESTQ R13, R13
	JLT forward
	JEQ orphaned // an unknown parent: getppid tells nothing
	SYSCALL1(SYS_getppid)
	CMPQ AX, R13
	JNE orphaned
forward:
	MOVL R12, DI
	SYSCALL1(SYS_kill)
	JMP wait

	// The parent died. The command is alive or a zombie, so its pid is still its own.
orphaned:
	MOVL R12, DI
	MOVL $SIGKILL, SI
	SYSCALL1(SYS_kill)
	MOVL $(128+SIGKILL), R15

	// Kill one generation of children and reap it; the next one is then ours, by reparenting, before wait4 returns.
	// Who forks in the meantime is found in the next round: a process with a SIGKILL pending cannot fork.
sweep:
	MOVL $-1, DI
	XORL SI, SI
	MOVL $WALL_WNOHANG, DX
	XORL R10, R10
	SYSCALL1(SYS_wait4)
	TESTQ AX, AX
	JGT sweep
	JLT exit // ECHILD: nobody is left
	XORL R12, R12
	XORL R13, R13
	MOVQ R12, scratch
chunk:
	MOVL R14, DI
	LEAQ buffer, SI
	MOVL $BUFSIZE, DX
	MOVQ scratch, R10
	SYSCALL1(SYS_pread64)
	TESTQ AX, AX
	JLE swept
	ADDQ AX, scratch
	LEAQ buffer, R9
	MOVB $0, (R9)(AX*1) // the sentinel
char:
	MOVBLZX (R9), AX
	TESTL AX, AX
	JEQ chunk // a pid that is cut in two goes on there
	INCQ R9
	SUBL $'0', AX
	CMPL AX, $9
	JHI space
	LEAQ (R12)(R12*4), R12
	LEAQ (AX)(R12*2), R12
	JMP char
space:
	TESTQ R12, R12
	JEQ char
	// Only a child of ours is killed, whatever the list says. Nobody else reaps it, so the pid cannot change owner.
	MOVL $P_PID, DI
	MOVQ R12, SI
	XORL DX, DX
	MOVL $PEEK, R10
	XORL R8, R8
	SYSCALL1(SYS_waitid)
	TESTQ AX, AX
	JNE next
	MOVQ R12, DI
	MOVL $SIGKILL, SI
	SYSCALL1(SYS_kill)
	TESTQ AX, AX
	JNE next
	INCL R13
next:
	XORL R12, R12
	JMP char
swept:
	TESTL R13, R13
	JEQ exit // children that are hidden or may not be signalled
	MOVL $-1, DI
	XORL SI, SI
	MOVL $WALL, DX
	XORL R10, R10
	SYSCALL1(SYS_wait4)
	JMP sweep

	// The launcher's stand-in. All signals are blocked already.
standIn:
	DECIMAL(pidDigit, pidDone)
	MOVQ DI, R12
	MOVQ 8(R14), SI
	DECIMAL(pipeDigit, pipeDone)
	MOVQ DI, R15
	MOVQ 16(R14), SI
	DECIMAL(setDigit, setDone)
	MOVQ DI, all
	MOVQ 24(R14), SI
	DECIMAL(heirDigit, heirDone)
	MOVQ DI, heir
	ADDQ $32, R14

	// "rl-run\0"
	MOVQ $0x006e75722d6c72, AX
	MOVQ AX, scratch
	MOVL $PR_SET_NAME, DI
	LEAQ scratch, SI
	SYSCALL1(SYS_prctl)

	// what the launcher's handlers caught before they were gone
	MOVL $0, scratch
caught:
	MOVL R15, DI
	LEAQ scratch, SI
	MOVL $4, DX
	SYSCALL1(SYS_read)
	CMPQ AX, $-EINTR
	JEQ caught
	CMPQ AX, $4
	JNE peek
	MOVL scratch, AX
	XORL R13, R13 // more may wait in the pipe
	JMP pass

peek:
	MOVL R12, DI
	LEAQ scratch, SI
	MOVL $WALL_WNOHANG, DX
	XORL R10, R10
	SYSCALL1(SYS_wait4)
	TESTQ AX, AX
	JLT fail
	JGT over
stay:
	LEAQ all, DI
	XORL SI, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigtimedwait)
	CMPQ AX, $-EINTR
	JEQ peek
	CMPQ AX, $-EAGAIN
	JEQ peek
	TESTQ AX, AX
	JLT fail
	CMPL AX, $SIGCHLD
	JEQ peek
	MOVL $1, R13
pass:
	MOVL AX, SI
	MOVL R12, DI
	CMPL SI, $SIGTSTP
	JNE send
	SYSCALL1(SYS_getpid)
	MOVL AX, DI
	MOVL $SIGSTOP, SI
send:
	SYSCALL1(SYS_kill)
	TESTL R13, R13
	JEQ caught
	JMP stay

	// Remove what the environment names: the directory's descriptor, then names in it; those that begin with a point are
	// directories.
over:
	MOVL scratch, AX
	MOVL AX, R15
	SHRL $8, R15
	ANDL $0xff, R15
	ANDL $0x7f, AX
	JEQ left
	LEAL 128(AX), R15
left:
	MOVQ (R14), SI
	TESTQ SI, SI
	JEQ tidy
	DECIMAL(dirDigit, dirDone)
	MOVQ DI, R13
remove:
	ADDQ $8, R14
	MOVQ (R14), SI
	TESTQ SI, SI
	JEQ tidy
	XORL DX, DX
	CMPB (SI), $'.'
	JNE unlink
	MOVL $AT_REMOVEDIR, DX
unlink:
	MOVL R13, DI
	SYSCALL1(SYS_unlinkat)
	JMP remove

	// Nothing is left to do for the heir.
tidy:
	MOVQ heir, DI
	TESTQ DI, DI
	JEQ exit
	MOVL $SIGKILL, SI
	SYSCALL1(SYS_kill)
	MOVQ heir, DI
	XORL SI, SI
	MOVL $WALL, DX
	XORL R10, R10
	SYSCALL1(SYS_wait4)
	JMP exit

	// "rl-init ends now"
	QUAD $0x2074696e692d6c72
	QUAD $0x776f6e2073646e65

// func text() *[static.Max]byte
TEXT ·text(SB), NOSPLIT, $0-8
	LEAQ program<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
