// The keeper for amd64; the package comment says what it does, and keeper_arm64.s does the same line by line.
//
// A system call takes its number in AX and its arguments in DI, SI, DX, R10, R8, R9; it destroys AX, CX and R11 only.
// Nothing is called, so the program needs no convention but these:
//
//	BX   the frame
//	R12  pid of init
//	R13  the directory
//	R14  the file that is written to, or negative
//	R15  where a file is full

#include "textflag.h"

// Linux, arch/x86/entry/syscalls/syscall_64.tbl
#define SYS_read 0
#define SYS_close 3
#define SYS_rt_sigaction 13
#define SYS_rt_sigprocmask 14
#define SYS_ioctl 16
#define SYS_pwrite64 18
#define SYS_wait4 61
#define SYS_chdir 80
#define SYS_setsid 112
#define SYS_prctl 157
#define SYS_clock_gettime 228
#define SYS_exit_group 231
#define SYS_waitid 247
#define SYS_openat 257
#define SYS_unlinkat 263
#define SYS_renameat 264
#define SYS_ppoll 271
#define SYS_splice 275
#define SYS_pidfd_open 434

#define EINTR 4
#define EAGAIN 11
#define SIGCHLD 17
#define SIG_SETMASK 2
#define PR_SET_PDEATHSIG 1
#define PR_SET_NAME 15
#define TIOCGPTPEER 0x5441
#define FIONREAD 0x541b
#define POLLIN 1
#define P_PID 1
#define CLD_EXITED 1
#define WALL 0x40000000
// __WALL|WNOWAIT|WEXITED
#define PEEK 0x41000004
// SPLICE_F_MOVE|SPLICE_F_NONBLOCK
#define SPLICE_FLAGS 3
// O_RDWR|O_NOCTTY|O_CLOEXEC
#define PEER_FLAGS 0x80102
// O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC
#define LOG_FLAGS 0xa00c1

#define AT_FDCWD -100
#define AT_REMOVEDIR 0x200
#define O_CLOEXEC 0x80000

// values of patience
#define forever -1
#define none 0
#define second 1

// What may be read after init's end beyond what a pipe says that it holds, as a terminal does not know it exactly.
#define SLACK 65536

// the frame; its large part lies lowest, and is not touched as long as splice does the work
#define BUFSIZE 2048
#define buffer 0(BX)
#define output 2048(BX) // struct pollfd of the output
#define revents(p) 6+p
#define life 2056(BX) // struct pollfd of init's life
#define time 2064(BX) // struct timespec
#define offset 2080(BX)
#define dropped 2088(BX)
#define patience 2096(BX)
#define left 2104(BX) // after init's end: how much may still be read
#define name 2112(BX)
#define oldName 2120(BX)
#define number(i) (2120+8*i)(BX) // argument i
#define pidFD number(1)
#define outputFD number(2)
#define dirFD number(3)
#define exitFD number(4)
#define half number(5)
#define body 2168(BX) // code and time of the line in the exit file, 24 bytes
#define digits 2192(BX) // its number of dropped bytes, 20 bytes
#define info 2216(BX) // siginfo_t, 128 bytes; before that strings and a struct sigaction
#define all 2344(BX) // signal set of all signals
#define FRAME 2352
// above it what the kernel left: argc, argv
#define ARGV (FRAME+8)
#define group (ARGV+6*8)(BX) // the last argument, or 0

// Places in the exit file, as in line.go.
#define EXIT_BODY 5
#define EXIT_DROPPED 30
#define EXIT_EVENTS 51

#define SYSCALL1(number) \
	MOVL $number, AX; \
	SYSCALL

// DIGITS writes the number in AX in decimal, so many digits that end before the address in SI.
#define DIGITS(count, digit) \
	MOVL $count, R8; \
	MOVL $10, DI; \
digit: \
	XORL DX, DX; \
	DIVQ DI; \
	ADDL $'0', DX; \
	DECQ SI; \
	MOVB DX, (SI); \
	DECL R8; \
	JNE digit

TEXT program<>(SB), NOSPLIT|NOFRAME, $0-0
	LEAQ -FRAME(SP), BX
	MOVQ BX, SP

	// Block all signals: none of them ends the keeper or interrupts it.
	MOVQ $-1, all
	MOVL $SIG_SETMASK, DI
	LEAQ all, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigprocmask)

	// "rl-keeper\0"
	MOVQ $0x657065656b2d6c72, AX
	MOVQ AX, info
	MOVQ $0x72, AX
	MOVQ AX, 8+info
	MOVL $PR_SET_NAME, DI
	LEAQ info, SI
	SYSCALL1(SYS_prctl)

	// The starter is not waited for, nor followed.
	MOVL $PR_SET_PDEATHSIG, DI
	XORL SI, SI
	SYSCALL1(SYS_prctl)
	SYSCALL1(SYS_setsid)

	// An ignored SIGCHLD outlives exec, and would make the kernel reap in our place.
	XORL AX, AX
	MOVQ AX, info
	MOVQ AX, 8+info
	MOVQ AX, 16+info
	MOVQ AX, 24+info
	MOVL $SIGCHLD, DI
	LEAQ info, SI
	XORL DX, DX
	MOVL $8, R10
	SYSCALL1(SYS_rt_sigaction)

	// "/\0"
	MOVQ $0x2f, AX
	MOVQ AX, info
	LEAQ info, DI
	SYSCALL1(SYS_chdir)

	// the five arguments, in decimal; behind them may be the control group
	MOVL $1, R9
argument:
	MOVQ ARGV(BX)(R9*8), SI
	TESTQ SI, SI
	JEQ fail
	XORL DI, DI
digit:
	MOVBLZX (SI), AX
	TESTL AX, AX
	JEQ parsed
	SUBL $'0', AX
	CMPL AX, $9
	JHI fail
	LEAQ (DI)(DI*4), DI
	LEAQ (AX)(DI*2), DI
	INCQ SI
	JMP digit
parsed:
	MOVQ DI, 2120(BX)(R9*8) // number(R9)
	INCL R9
	CMPL R9, $5
	JLE argument
	MOVQ group, DI
	TESTQ DI, DI
	JEQ outside
	SYSCALL1(SYS_chdir)
outside:
	MOVQ dirFD, R13
	MOVQ half, R15

read:
	MOVL pidFD, DI
	LEAQ info, SI
	MOVL $8, DX
	SYSCALL1(SYS_read)
	CMPQ AX, $-EINTR
	JEQ read
	CMPQ AX, $8
	JNE fail
	MOVQ info, R12
	// 0 and negative numbers would make the waits mean more than one process.
	TESTQ R12, R12
	JEQ fail
	MOVQ R12, AX
	SHRQ $31, AX
	JNE fail

	// Hold nothing open that is not needed.
	MOVL pidFD, DI
	SYSCALL1(SYS_close)
	MOVL $2, R14
close:
	MOVL R14, DI
	SYSCALL1(SYS_close)
	DECL R14
	JPL close // R14 is -1 then: no file yet

	MOVL R12, DI
	XORL SI, SI
	SYSCALL1(SYS_pidfd_open)
	TESTQ AX, AX
	JLT fail
	MOVL AX, life
	MOVL $POLLIN, 4+life
	MOVL outputFD, AX
	MOVL AX, output
	MOVL $POLLIN, 4+output

	// As long as somebody has the other side of a pseudo-terminal open it does not hang up. Elsewhere this fails.
	MOVL outputFD, DI
	MOVL $TIOCGPTPEER, SI
	MOVL $PEER_FLAGS, DX
	SYSCALL1(SYS_ioctl)

	MOVQ $0x676f6c, AX // "log\0"
	MOVQ AX, name
	MOVQ $0x312e676f6c, AX // "log.1\0"
	MOVQ AX, oldName
	MOVQ R15, offset // full: the first output makes a file
	XORL AX, AX
	MOVQ AX, dropped
	MOVQ $forever, patience

wait:
	MOVQ patience, AX
	XORL DX, DX
	TESTQ AX, AX
	JLT poll
	MOVQ AX, time
	MOVQ DX, 8+time
	LEAQ time, DX
poll:
	LEAQ output, DI
	MOVL $2, SI
	XORL R10, R10
	SYSCALL1(SYS_ppoll)
	CMPQ AX, $-EINTR // stopped and continued, or traced
	JEQ wait
	TESTQ AX, AX
	JLT fail
	JEQ idle
	MOVWLZX revents(life), AX
	TESTL AX, AX
	JEQ move

	// Init is dead, and with it everybody in its pid namespace: what is left in the pipe is all. Who holds it outside may
	// go on writing, for whom nobody waits.
	MOVL $-1, life
	MOVQ $none, patience
	XORL AX, AX
	MOVQ AX, left
	MOVL outputFD, DI
	MOVL $FIONREAD, SI
	LEAQ left, DX
	SYSCALL1(SYS_ioctl)
	MOVL $SLACK, AX
	ADDQ AX, left
	JMP wait

idle:
	MOVQ patience, AX
	TESTQ AX, AX
	JEQ reap
	// Look at the terminal again.
	MOVL outputFD, AX
	MOVL AX, output
	MOVQ $forever, patience
	JMP wait

move:
	MOVQ patience, AX
	TESTQ AX, AX
	JNE room
	CMPQ left, $0
	JLE reap
room:
	TESTQ R15, R15
	JEQ copy // nothing is to be kept
	CMPQ offset, R15
	JNE splice

	// The file is full, or there is none yet.
	MOVL R13, DI
	LEAQ name, SI
	MOVL R13, DX
	LEAQ oldName, R10
	SYSCALL1(SYS_renameat)
	MOVL R14, DI
	SYSCALL1(SYS_close)
	MOVL R13, DI
	LEAQ name, SI
	MOVL $LOG_FLAGS, DX
	MOVL $0600, R10
	SYSCALL1(SYS_openat)
	MOVQ AX, R14
	TESTQ AX, AX
	JLT copy // and drop; the next output tries again
	XORL AX, AX
	MOVQ AX, offset

splice:
	MOVL outputFD, DI
	XORL SI, SI
	MOVL R14, DX
	LEAQ offset, R10
	MOVQ R15, R8
	SUBQ offset, R8
	MOVL $SPLICE_FLAGS, R9
	SYSCALL1(SYS_splice)
	TESTQ AX, AX
	JGT moved
	JEQ ended
	CMPQ AX, $-EINTR
	JEQ wait
	CMPQ AX, $-EAGAIN
	JEQ wait

	// Not a pipe, or the file takes no more: read and write tell which.
copy:
	MOVL $BUFSIZE, DX
	MOVQ R15, AX
	SUBQ offset, AX
	JEQ some // there is no file
	CMPQ AX, DX
	JHI some
	MOVQ AX, DX
some:
	MOVL outputFD, DI
	LEAQ buffer, SI
	SYSCALL1(SYS_read)
	TESTQ AX, AX
	JEQ ended
	JGT write
	CMPQ AX, $-EINTR
	JEQ wait
	CMPQ AX, $-EAGAIN
	JEQ wait

	// A terminal that nobody has open: somebody may open it again, which no poll tells.
	MOVL $-1, output
	MOVQ patience, AX
	TESTQ AX, AX
	JEQ wait
	MOVQ $second, patience
	JMP wait

	// All writers are gone, and there is no way to come back to a pipe.
ended:
	MOVL $-1, output
	JMP wait

moved:
	SUBQ AX, left
	JMP wait

write:
	SUBQ AX, left
	TESTQ R15, R15
	JEQ wait
	MOVQ AX, R9
	MOVL R14, DI
	LEAQ buffer, SI
	MOVQ R9, DX
	MOVQ offset, R10
	SYSCALL1(SYS_pwrite64)
	TESTQ AX, AX
	JGE written
	XORL AX, AX
written:
	ADDQ AX, offset
	SUBQ AX, R9
	JEQ wait

	// The rest is lost; the exit file says so, which needs no space.
	ADDQ R9, dropped
	MOVQ dropped, AX
	LEAQ 20+digits, SI
	DIGITS(20, droppedDigit)
	MOVL exitFD, DI
	LEAQ digits, SI
	MOVL $20, DX
	MOVL $EXIT_DROPPED, R10
	SYSCALL1(SYS_pwrite64)
	JMP wait

	// Init is a zombie until its end is written: who finds its pid gone finds its status.
reap:
	MOVQ group, AX
	TESTQ AX, AX
	JEQ peek
	MOVQ $0x652e79726f6d656d, AX // "memory.events\0"
	MOVQ AX, info
	MOVQ $0x73746e6576, AX
	MOVQ AX, 8+info
	MOVQ $AT_FDCWD, DI
	LEAQ info, SI
	MOVL $O_CLOEXEC, DX
	XORL R10, R10
	SYSCALL1(SYS_openat)
	TESTQ AX, AX
	JLT peek
	MOVL AX, DI
	LEAQ buffer, SI
	MOVL $BUFSIZE, DX
	SYSCALL1(SYS_read)
	TESTQ AX, AX
	JLE peek
	MOVL exitFD, DI
	LEAQ buffer, SI
	MOVL AX, DX
	MOVL $EXIT_EVENTS, R10
	SYSCALL1(SYS_pwrite64)

peek:
	MOVL $P_PID, DI
	MOVQ R12, SI
	LEAQ info, DX
	MOVL $PEEK, R10
	XORL R8, R8
	SYSCALL1(SYS_waitid)
	CMPQ AX, $-EINTR
	JEQ peek
	TESTQ AX, AX
	JNE fail
	MOVL 24+info, AX // si_status
	CMPL 8+info, $CLD_EXITED // si_code
	JEQ exited
	ADDL $128, AX
exited:
	LEAQ 3+body, SI
	DIGITS(3, codeDigit)
	MOVB $' ', 3+body
	XORL DI, DI // CLOCK_REALTIME
	LEAQ time, SI
	SYSCALL1(SYS_clock_gettime)
	MOVQ time, AX
	LEAQ 14+body, SI
	DIGITS(10, secondsDigit)
	MOVB $'.', 14+body
	MOVQ 8+time, AX
	LEAQ 24+body, SI
	DIGITS(9, nanosecondsDigit)

	// The word comes last, and only when the rest is there: nobody reads one without the other.
	MOVL exitFD, DI
	LEAQ body, SI
	MOVL $24, DX
	MOVL $EXIT_BODY, R10
	SYSCALL1(SYS_pwrite64)
	CMPQ AX, $24
	JNE over
	MOVL $0x74697865, info // "exit"
	MOVL exitFD, DI
	LEAQ info, SI
	MOVL $4, DX
	XORL R10, R10
	SYSCALL1(SYS_pwrite64)
over:
	MOVL R12, DI
	XORL SI, SI
	MOVL $WALL, DX
	XORL R10, R10
	SYSCALL1(SYS_wait4)
	MOVQ group, SI
	TESTQ SI, SI
	JEQ done
	MOVQ $AT_FDCWD, DI
	MOVL $AT_REMOVEDIR, DX
	SYSCALL1(SYS_unlinkat)
done:
	XORL DI, DI
exit:
	SYSCALL1(SYS_exit_group)

fail:
	MOVL $125, DI
	JMP exit

	// "rl-keeper ended."
	QUAD $0x657065656b2d6c72
	QUAD $0x2e6465646e652072

// func text() *[static.Max]byte
TEXT ·text(SB), NOSPLIT, $0-8
	LEAQ program<>(SB), AX
	MOVQ AX, ret+0(FP)
	RET
