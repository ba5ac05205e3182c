#include "textflag.h"
#include "go_asm.h"

// The interpreter. See interpreter_amd64.s: registers only, no call.
//
//	R19  the operation under way
//	R20  the machine: where failures are reported
//	R0   the result

// func start(args *cloneArgs, size uintptr, first *op, m *machine) (pid int64)
TEXT ·start(SB),NOSPLIT|NOFRAME,$0-40
	MOVD	args+0(FP), R0
	MOVD	size+8(FP), R1
	MOVD	first+16(FP), R19
	MOVD	m+24(FP), R20
	CBZ	R1, old
	MOVD	$435, R8 // clone3
	JMP	call
old:
	MOVD	cloneArgs_pidfd(R0), R2 // parent_tid, which CLONE_PIDFD uses
	MOVD	cloneArgs_flags(R0), R0
	MOVD	ZR, R3 // tls
	MOVD	ZR, R4 // child_tid; the stack, R1, is 0: the same
	MOVD	$220, R8 // clone
call:
	SVC
	CBZ	R0, next
	MOVD	R0, pid+32(FP)
	RET

#include "interpreter_arm64.h"
