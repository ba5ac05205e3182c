#include "textflag.h"

// The handler runs on a signal stack of the runtime, with all signals blocked.
// It writes its first argument, 4 bytes, below the stack pointer and from there
// to the pipe. The kernel restores every register. A child of the process has the handler until it executes: what it gets itself is not
// for the pipe.
TEXT handler<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVL	$39, AX // getpid
	SYSCALL
	CMPL	AX, ·self(SB)
	JNE	done
	MOVQ	SP, SI
	SUBQ	$64, SI
	MOVL	DI, (SI)
	MOVL	·writeEnd(SB), DI
	MOVL	$4, DX
	MOVL	$1, AX // write
	SYSCALL
done:
	RET

// The blocker of Alone adds what is caught to the mask that the kernel restores: uc_sigmask of struct ucontext, behind uc_flags, uc_link,
// uc_stack and 256 bytes of uc_mcontext.
TEXT blocker<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ	·caught(SB), AX
	ORQ	AX, 296(DX)
	LOCK
	INCL	·blocking(SB)
	RET

TEXT restorer<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVL	$15, AX // rt_sigreturn
	SYSCALL
	INT	$3

TEXT ·handlerAddress(SB),NOSPLIT,$0-8
	LEAQ	handler<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·blockerAddress(SB),NOSPLIT,$0-8
	LEAQ	blocker<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

TEXT ·restorerAddress(SB),NOSPLIT,$0-8
	LEAQ	restorer<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
