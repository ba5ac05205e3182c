#include "textflag.h"
#include "go_asm.h"

// func kernel(nr, a, b, c, d, e uintptr) int
TEXT ·kernel(SB),NOSPLIT,$0-56
	MOVQ	nr+0(FP), AX
	MOVQ	a+8(FP), DI
	MOVQ	b+16(FP), SI
	MOVQ	c+24(FP), DX
	MOVQ	d+32(FP), R10
	MOVQ	e+40(FP), R8
	XORL	R9, R9
	SYSCALL
	MOVQ	AX, ret+48(FP)
	RET

// func interpret(first, m uintptr)
TEXT ·interpret(SB),NOSPLIT|NOFRAME,$0-16
	MOVQ	first+0(FP), R12
	MOVQ	m+8(FP), R13
	JMP	next

#define LAUNCHER
#include "interpreter_amd64.h"
