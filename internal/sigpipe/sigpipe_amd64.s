#include "textflag.h"

// The handler runs on a signal stack of the runtime, with all signals blocked.
// It writes its first argument, 4 bytes, below the stack pointer and from there
// to the pipe. The kernel restores every register.
TEXT handler<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ	SP, SI
	SUBQ	$64, SI
	MOVL	DI, (SI)
	MOVL	·writeEnd(SB), DI
	MOVL	$4, DX
	MOVL	$1, AX // write
	SYSCALL
	RET

TEXT restorer<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVL	$15, AX // rt_sigreturn
	SYSCALL
	INT	$3

TEXT ·handlerAddress(SB),NOSPLIT,$0-8
	LEAQ	handler<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·restorerAddress(SB),NOSPLIT,$0-8
	LEAQ	restorer<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
