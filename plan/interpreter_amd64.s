#include "textflag.h"
#include "go_asm.h"

// The interpreter. It uses registers only: no stack, so that the child may
// share the memory of the launcher while the launcher's thread goes on, and no
// call, so that it can never enter the Go runtime (in the child there is none).
//
//	R12  the operation under way
//	R13  the machine: where failures are reported
//	AX   the result

// func start(args *cloneArgs, size uintptr, first *op, m *machine) (pid int64)
TEXT ·start(SB),NOSPLIT|NOFRAME,$0-40
	MOVQ	args+0(FP), DI
	MOVQ	size+8(FP), SI
	MOVQ	first+16(FP), R12
	MOVQ	m+24(FP), R13
	TESTQ	SI, SI
	JEQ	old
	MOVQ	$435, AX // clone3
	JMP	call
old:
	MOVQ	cloneArgs_pidfd(DI), DX // parent_tid, which CLONE_PIDFD uses
	MOVQ	cloneArgs_flags(DI), DI
	XORL	R10, R10 // child_tid
	XORL	R8, R8 // tls; the stack, SI, is 0: the same
	MOVQ	$56, AX // clone
call:
	SYSCALL
	TESTQ	AX, AX
	JZ	next
	MOVQ	AX, pid+32(FP)
	RET

#include "interpreter_amd64.h"
