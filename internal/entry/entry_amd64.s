#include "textflag.h"

// At the entry of a process there are argc and argv at SP, and no stack below it is in use. The kernel keeps all
// registers but AX, CX and R11 over a system call.
//
//	BX  the stack as it was
TEXT ·Start(SB),NOSPLIT|NOFRAME,$0
	MOVQ	SP, BX
	// by which name?
	MOVQ	8(SP), SI
	TESTQ	SI, SI
	JEQ	go
	MOVQ	SI, DI
end:
	CMPB	(DI), $0
	JEQ	compare
	INCQ	DI
	JMP	end
compare:
	MOVQ	DI, CX
	SUBQ	SI, CX
	CMPQ	CX, $6
	JLT	go
	CMPL	-6(DI), $0x722d6c72 // rl-r
	JNE	exec
	CMPW	-2(DI), $0x6e75 // un
	JEQ	recall
	JMP	go
exec:
	CMPQ	CX, $7
	JLT	go
	CMPL	-7(DI), $0x652d6c72 // rl-e
	JNE	go
	CMPL	-4(DI), $0x63657865 // exec
	JNE	go

recall:
	// Go code wants a g in thread-local storage, if only to load it: a nil one
	MOVQ	$158, AX // arch_prctl
	MOVQ	$0x1002, DI // ARCH_SET_FS
	LEAQ	·noG+8(SB), SI
	SYSCALL
	MOVQ	BX, AX // the first argument
	XORPS	X15, X15
	XORL	R14, R14
	MOVQ	·recall(SB), DX
	MOVQ	(DX), CX
	SUBQ	$64, SP // where a callee may keep its arguments (Go's ABIInternal, spill space)
	CALL	CX
	ADDQ	$64, SP
	MOVQ	SP, BX

pin:
	MOVQ	$204, AX // sched_getaffinity
	XORL	DI, DI
	MOVQ	$128, SI // setSize
	LEAQ	·processors(SB), DX
	SYSCALL
	TESTQ	AX, AX
	JLE	timers
	MOVQ	$309, AX // getcpu
	LEAQ	·current(SB), DI
	XORL	SI, SI
	XORL	DX, DX
	SYSCALL
	TESTQ	AX, AX
	JNE	timers
	MOVL	·current(SB), CX
	CMPL	CX, $1024
	JCC	timers
	LEAQ	·own(SB), DX
	BTSQ	CX, (DX)
	MOVQ	$203, AX // sched_setaffinity
	XORL	DI, DI
	MOVQ	$128, SI
	SYSCALL
	TESTQ	AX, AX
	JNE	timers
	MOVQ	$1, ·pinned(SB)

timers:
	MOVQ	$157, AX // prctl
	MOVQ	$30, DI // PR_GET_TIMERSLACK
	SYSCALL
	TESTQ	AX, AX
	JLE	limit
	MOVQ	AX, ·slack(SB)
	MOVQ	$157, AX
	MOVQ	$29, DI // PR_SET_TIMERSLACK
	MOVQ	$1000000, SI
	SYSCALL

limit:
	MOVQ	$302, AX // prlimit64
	XORL	DI, DI
	MOVQ	$7, SI // RLIMIT_NOFILE
	XORL	DX, DX
	LEAQ	·files(SB), R10
	SYSCALL
	TESTQ	AX, AX
	JNE	go
	CMPQ	·files(SB), $3
	JLS	go
	MOVQ	$3, ·few(SB)
	MOVQ	·files+8(SB), CX
	MOVQ	CX, ·few+8(SB)
	MOVQ	$302, AX
	LEAQ	·few(SB), DX
	XORL	R10, R10
	SYSCALL
	TESTQ	AX, AX
	JEQ	go
	MOVQ	$0, ·few(SB)

go:
	MOVQ	BX, SP
	JMP	_rt0_amd64_linux(SB)

// func restore()
TEXT ·restore(SB),NOSPLIT,$0-0
	MOVQ	·slack(SB), SI
	TESTQ	SI, SI
	JEQ	files
	MOVQ	$157, AX
	MOVQ	$29, DI
	SYSCALL
files:
	CMPQ	·few(SB), $0
	JEQ	done
	MOVQ	$302, AX
	XORL	DI, DI
	MOVQ	$7, SI
	LEAQ	·files(SB), DX
	XORL	R10, R10
	SYSCALL
done:
	RET
