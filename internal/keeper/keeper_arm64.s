// The keeper for arm64; the package comment says what it does, and keeper_amd64.s does the same line by line.
//
// A system call takes its number in R8 and its arguments in R0 to R5; it destroys R0 only. R27, which the assembler may
// use for itself, R18 and R28 are left alone. Nothing is called, so the program needs no convention but these:
//
//	R19  the frame
//	R20  pid of init
//	R21  the directory
//	R22  the file that is written to, or negative
//	R23  where a file is full
//	R24  how much was read; the argument being parsed

#include "textflag.h"

// Linux, include/uapi/asm-generic/unistd.h
#define SYS_ioctl 29
#define SYS_unlinkat 35
#define SYS_renameat 38
#define SYS_chdir 49
#define SYS_openat 56
#define SYS_close 57
#define SYS_read 63
#define SYS_pwrite64 68
#define SYS_ppoll 73
#define SYS_splice 76
#define SYS_exit_group 94
#define SYS_waitid 95
#define SYS_clock_gettime 113
#define SYS_rt_sigaction 134
#define SYS_rt_sigprocmask 135
#define SYS_setsid 157
#define SYS_prctl 167
#define SYS_wait4 260
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
// O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC; O_NOFOLLOW is not amd64's
#define LOG_FLAGS 0x880c1

#define AT_FDCWD -100
#define AT_REMOVEDIR 0x200
#define O_CLOEXEC 0x80000

// values of patience
#define forever -1
#define none 0
#define second 1

// What may be read after init's end beyond what a pipe says that it holds, as a terminal does not know it exactly.
#define SLACK 65536

// offsets in the frame; its large part lies lowest, and is not touched as long as splice does the work
#define BUFSIZE 2048
#define buffer 0
#define output 2048 // struct pollfd of the output
#define life 2056 // struct pollfd of init's life
#define time 2064 // struct timespec
#define offset 2080
#define dropped 2088
#define patience 2096
#define left 2104 // after init's end: how much may still be read
#define name 2112
#define oldName 2120
#define number(i) (2120+8*i) // argument i
#define pidFD number(1)
#define outputFD number(2)
#define dirFD number(3)
#define exitFD number(4)
#define half number(5)
#define body 2168 // code and time of the line in the exit file, 24 bytes
#define digits 2192 // its number of dropped bytes, 20 bytes
#define info 2216 // siginfo_t, 128 bytes; before that strings and a struct sigaction
#define all 2344 // signal set of all signals
#define FRAME 2352
// above it what the kernel left: argc, argv
#define ARGV (FRAME+8)
#define group (ARGV+6*8) // the last argument, or 0

// Places in the exit file, as in line.go.
#define EXIT_BODY 5
#define EXIT_DROPPED 30
#define EXIT_EVENTS 51

#define SYSCALL1(number) \
	MOVD $number, R8; \
	SVC

// A constant of 64 bits, without the literal pool: the program has no data.
#define CONST(a, b, c, d, reg) \
	MOVZ $a, reg; \
	MOVK $(b<<16), reg; \
	MOVK $(c<<32), reg; \
	MOVK $(d<<48), reg

// DIGITS writes the number in R0 in decimal, so many digits that end before the address in R1.
#define DIGITS(count, digit) \
	MOVD $count, R4; \
	MOVD $10, R3; \
digit: \
	UDIV R3, R0, R2; \
	MSUB R3, R0, R2, R5; \
	ADD $'0', R5; \
	MOVB.W R5, -1(R1); \
	MOVD R2, R0; \
	SUBS $1, R4; \
	BNE digit

TEXT program<>(SB), NOSPLIT|NOFRAME, $0-0
	SUB $FRAME, RSP, R19
	MOVD R19, RSP

	// Block all signals: none of them ends the keeper or interrupts it.
	MOVD $-1, R0
	MOVD R0, all(R19)
	MOVD $SIG_SETMASK, R0
	ADD $all, R19, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigprocmask)

	// "rl-keeper\0"
	CONST(0x6c72, 0x6b2d, 0x6565, 0x6570, R0)
	MOVD R0, info(R19)
	MOVD $0x72, R0
	MOVD R0, (8+info)(R19)
	MOVD $PR_SET_NAME, R0
	ADD $info, R19, R1
	SYSCALL1(SYS_prctl)

	// The starter is not waited for, nor followed.
	MOVD $PR_SET_PDEATHSIG, R0
	MOVD ZR, R1
	SYSCALL1(SYS_prctl)
	SYSCALL1(SYS_setsid)

	// An ignored SIGCHLD outlives exec, and would make the kernel reap in our place.
	MOVD ZR, info(R19)
	MOVD ZR, (8+info)(R19)
	MOVD ZR, (16+info)(R19)
	MOVD ZR, (24+info)(R19)
	MOVD $SIGCHLD, R0
	ADD $info, R19, R1
	MOVD ZR, R2
	MOVD $8, R3
	SYSCALL1(SYS_rt_sigaction)

	// "/\0"
	MOVD $0x2f, R0
	MOVD R0, info(R19)
	ADD $info, R19, R0
	SYSCALL1(SYS_chdir)

	// the five arguments, in decimal; behind them may be the control group
	MOVD $1, R24
argument:
	ADD R24<<3, R19, R1
	MOVD ARGV(R1), R1
	CBZ R1, fail
	MOVD ZR, R0
	MOVD $10, R3
digit:
	MOVBU.P 1(R1), R2
	CBZ R2, parsed
	SUB $'0', R2
	CMP $9, R2
	BHI fail
	MADD R3, R2, R0, R0
	B digit
parsed:
	ADD R24<<3, R19, R1
	MOVD R0, number(0)(R1) // number(R24)
	ADD $1, R24
	CMP $5, R24
	BLE argument
	MOVD group(R19), R0
	CBZ R0, outside
	SYSCALL1(SYS_chdir)
outside:
	MOVD dirFD(R19), R21
	MOVD half(R19), R23

read:
	MOVD pidFD(R19), R0
	ADD $info, R19, R1
	MOVD $8, R2
	SYSCALL1(SYS_read)
	CMN $EINTR, R0
	BEQ read
	CMP $8, R0
	BNE fail
	MOVD info(R19), R20
	// 0 and negative numbers would make the waits mean more than one process.
	CBZ R20, fail
	LSR $31, R20, R0
	CBNZ R0, fail

	// Hold nothing open that is not needed.
	MOVD pidFD(R19), R0
	SYSCALL1(SYS_close)
	MOVD $2, R22
close:
	MOVD R22, R0
	SYSCALL1(SYS_close)
	SUBS $1, R22
	BPL close // R22 is -1 then: no file yet

	MOVD R20, R0
	MOVD ZR, R1
	SYSCALL1(SYS_pidfd_open)
	CMP $0, R0
	BLT fail
	MOVW R0, life(R19)
	MOVD $POLLIN, R1
	MOVW R1, (4+life)(R19)
	MOVW R1, (4+output)(R19)
	MOVD outputFD(R19), R0
	MOVW R0, output(R19)

	// As long as somebody has the other side of a pseudo-terminal open it does not hang up. Elsewhere this fails.
	MOVD $TIOCGPTPEER, R1
	MOVD $PEER_FLAGS, R2
	SYSCALL1(SYS_ioctl)

	MOVD $0x676f6c, R0 // "log\0"
	MOVD R0, name(R19)
	MOVZ $0x6f6c, R0 // "log.1\0"
	MOVK $(0x2e67<<16), R0
	MOVK $(0x31<<32), R0
	MOVD R0, oldName(R19)
	MOVD R23, offset(R19) // full: the first output makes a file
	MOVD ZR, dropped(R19)
	MOVD $forever, R0
	MOVD R0, patience(R19)

wait:
	MOVD patience(R19), R0
	MOVD ZR, R2
	TBNZ $63, R0, poll
	MOVD R0, time(R19)
	MOVD ZR, (8+time)(R19)
	ADD $time, R19, R2
poll:
	ADD $output, R19, R0
	MOVD $2, R1
	MOVD ZR, R3
	SYSCALL1(SYS_ppoll)
	CMN $EINTR, R0 // stopped and continued, or traced
	BEQ wait
	CMP $0, R0
	BLT fail
	BEQ idle
	MOVHU (6+life)(R19), R0 // revents
	CBZ R0, move

	// Init is dead, and with it everybody in its pid namespace: what is left in the pipe is all. Who holds it outside may
	// go on writing, for whom nobody waits.
	MOVD $-1, R0
	MOVW R0, life(R19)
	MOVD ZR, patience(R19) // none
	MOVD ZR, left(R19)
	MOVD outputFD(R19), R0
	MOVD $FIONREAD, R1
	ADD $left, R19, R2
	SYSCALL1(SYS_ioctl)
	MOVD $SLACK, R1
	MOVD left(R19), R0
	ADD R1, R0
	MOVD R0, left(R19)
	B wait

idle:
	MOVD patience(R19), R0
	CBZ R0, reap
	// Look at the terminal again.
	MOVD outputFD(R19), R0
	MOVW R0, output(R19)
	MOVD $forever, R0
	MOVD R0, patience(R19)
	B wait

move:
	MOVD patience(R19), R0
	CBNZ R0, room
	MOVD left(R19), R0
	CMP $0, R0
	BLE reap
room:
	CBZ R23, copy // nothing is to be kept
	MOVD offset(R19), R0
	CMP R23, R0
	BNE splice

	// The file is full, or there is none yet.
	MOVD R21, R0
	ADD $name, R19, R1
	MOVD R21, R2
	ADD $oldName, R19, R3
	SYSCALL1(SYS_renameat)
	MOVD R22, R0
	SYSCALL1(SYS_close)
	MOVD R21, R0
	ADD $name, R19, R1
	MOVD $LOG_FLAGS, R2
	MOVD $0600, R3
	SYSCALL1(SYS_openat)
	MOVD R0, R22
	TBNZ $63, R0, copy // and drop; the next output tries again
	MOVD ZR, offset(R19)

splice:
	MOVD outputFD(R19), R0
	MOVD ZR, R1
	MOVD R22, R2
	ADD $offset, R19, R3
	MOVD offset(R19), R4
	SUB R4, R23, R4
	MOVD $SPLICE_FLAGS, R5
	SYSCALL1(SYS_splice)
	CMP $0, R0
	BGT moved
	BEQ ended
	CMN $EINTR, R0
	BEQ wait
	CMN $EAGAIN, R0
	BEQ wait

	// Not a pipe, or the file takes no more: read and write tell which.
copy:
	MOVD $BUFSIZE, R2
	MOVD offset(R19), R0
	SUBS R0, R23, R0
	BEQ some // there is no file
	CMP R2, R0
	BHI some
	MOVD R0, R2
some:
	MOVD outputFD(R19), R0
	ADD $buffer, R19, R1
	SYSCALL1(SYS_read)
	CMP $0, R0
	BEQ ended
	BGT write
	CMN $EINTR, R0
	BEQ wait
	CMN $EAGAIN, R0
	BEQ wait

	// A terminal that nobody has open: somebody may open it again, which no poll tells.
	MOVD $-1, R0
	MOVW R0, output(R19)
	MOVD patience(R19), R0
	CBZ R0, wait
	MOVD $second, R0
	MOVD R0, patience(R19)
	B wait

	// All writers are gone, and there is no way to come back to a pipe.
ended:
	MOVD $-1, R0
	MOVW R0, output(R19)
	B wait

moved:
	MOVD left(R19), R1
	SUB R0, R1
	MOVD R1, left(R19)
	B wait

write:
	MOVD left(R19), R1
	SUB R0, R1
	MOVD R1, left(R19)
	CBZ R23, wait
	MOVD R0, R24
	MOVD R22, R0
	ADD $buffer, R19, R1
	MOVD R24, R2
	MOVD offset(R19), R3
	SYSCALL1(SYS_pwrite64)
	TBZ $63, R0, written
	MOVD ZR, R0
written:
	MOVD offset(R19), R1
	ADD R0, R1
	MOVD R1, offset(R19)
	SUBS R0, R24
	BEQ wait

	// The rest is lost; the exit file says so, which needs no space.
	MOVD dropped(R19), R0
	ADD R24, R0
	MOVD R0, dropped(R19)
	ADD $(20+digits), R19, R1
	DIGITS(20, droppedDigit)
	MOVD exitFD(R19), R0
	ADD $digits, R19, R1
	MOVD $20, R2
	MOVD $EXIT_DROPPED, R3
	SYSCALL1(SYS_pwrite64)
	B wait

	// Init is a zombie until its end is written: who finds its pid gone finds its status.
reap:
	MOVD group(R19), R0
	CBZ R0, peek
	CONST(0x656d, 0x6f6d, 0x7972, 0x652e, R0) // "memory.events\0"
	MOVD R0, info(R19)
	MOVZ $0x6576, R0
	MOVK $(0x746e<<16), R0
	MOVK $(0x73<<32), R0
	MOVD R0, (8+info)(R19)
	MOVD $AT_FDCWD, R0
	ADD $info, R19, R1
	MOVD $O_CLOEXEC, R2
	MOVD ZR, R3
	SYSCALL1(SYS_openat)
	TBNZ $63, R0, peek
	ADD $buffer, R19, R1
	MOVD $BUFSIZE, R2
	SYSCALL1(SYS_read)
	CMP $0, R0
	BLE peek
	MOVD R0, R2
	MOVD exitFD(R19), R0
	ADD $buffer, R19, R1
	MOVD $EXIT_EVENTS, R3
	SYSCALL1(SYS_pwrite64)

peek:
	MOVD $P_PID, R0
	MOVD R20, R1
	ADD $info, R19, R2
	MOVD $PEEK, R3
	MOVD ZR, R4
	SYSCALL1(SYS_waitid)
	CMN $EINTR, R0
	BEQ peek
	CBNZ R0, fail
	MOVWU (24+info)(R19), R0 // si_status
	MOVWU (8+info)(R19), R1 // si_code
	CMP $CLD_EXITED, R1
	BEQ exited
	ADD $128, R0
exited:
	ADD $(3+body), R19, R1
	DIGITS(3, codeDigit)
	MOVD $' ', R0
	MOVB R0, (3+body)(R19)
	MOVD ZR, R0 // CLOCK_REALTIME
	ADD $time, R19, R1
	SYSCALL1(SYS_clock_gettime)
	MOVD time(R19), R0
	ADD $(14+body), R19, R1
	DIGITS(10, secondsDigit)
	MOVD $'.', R0
	MOVB R0, (14+body)(R19)
	MOVD (8+time)(R19), R0
	ADD $(24+body), R19, R1
	DIGITS(9, nanosecondsDigit)

	// The word comes last, and only when the rest is there: nobody reads one without the other.
	MOVD exitFD(R19), R0
	ADD $body, R19, R1
	MOVD $24, R2
	MOVD $EXIT_BODY, R3
	SYSCALL1(SYS_pwrite64)
	CMP $24, R0
	BNE over
	MOVD $0x74697865, R0 // "exit"
	MOVD R0, info(R19)
	MOVD exitFD(R19), R0
	ADD $info, R19, R1
	MOVD $4, R2
	MOVD ZR, R3
	SYSCALL1(SYS_pwrite64)
over:
	MOVD R20, R0
	MOVD ZR, R1
	MOVD $WALL, R2
	MOVD ZR, R3
	SYSCALL1(SYS_wait4)
	MOVD group(R19), R1
	CBZ R1, done
	MOVD $AT_FDCWD, R0
	MOVD $AT_REMOVEDIR, R2
	SYSCALL1(SYS_unlinkat)
done:
	MOVD ZR, R0
exit:
	SYSCALL1(SYS_exit_group)

fail:
	MOVD $125, R0
	B exit

	// "rl-keeper ended."
	WORD $0x6b2d6c72
	WORD $0x65706565
	WORD $0x6e652072
	WORD $0x2e646564

// func text() *[static.Max]byte
TEXT ·text(SB), NOSPLIT, $0-8
	MOVD $program<>(SB), R0
	MOVD R0, ret+0(FP)
	RET
