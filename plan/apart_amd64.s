#include "textflag.h"
#include "go_asm.h"

// The interpreter as a program of its own, which a process executes to leave the
// launcher's memory. Its argument is the descriptor of the arena.
TEXT apartProgram<>(SB),NOSPLIT|NOFRAME,$0-0
	LEAQ	-64(SP), BX
	MOVQ	(64+16)(BX), SI // argv[1], a decimal number
	XORL	DI, DI
digit:
	MOVBLZX	(SI), AX
	TESTL	AX, AX
	JEQ	header
	SUBL	$'0', AX
	LEAQ	(DI)(DI*4), DI
	LEAQ	(AX)(DI*2), DI
	ADDQ	$1, SI
	JMP	digit

header:
	MOVQ	DI, R14
	MOVQ	BX, SI
	MOVL	$apart__size, DX
	XORL	R10, R10
	MOVL	$17, AX // pread64
	SYSCALL
	CMPQ	AX, $apart__size
	JNE	stop

	MOVQ	apart_address(BX), DI
	MOVQ	apart_size(BX), SI
	MOVL	$3, DX // PROT_READ|PROT_WRITE
	MOVL	$0x100001, R10 // MAP_SHARED|MAP_FIXED_NOREPLACE
	MOVQ	R14, R8
	XORL	R9, R9
	MOVL	$9, AX // mmap
	SYSCALL
	CMPQ	AX, apart_address(BX)
	JNE	stop
	MOVQ	R14, DI
	MOVL	$3, AX // close
	SYSCALL

	MOVQ	apart_first(BX), R12
	MOVQ	apart_machine(BX), R13
	JMP	next

stop:
	MOVL	$125, DI
	MOVL	$231, AX // exit_group
	SYSCALL
	INT	$3

#include "interpreter_amd64.h"

	// "rl-exec ends now"
	QUAD $0x20636578652d6c72
	QUAD $0x776f6e2073646e65

// func apartText() *[static.Max]byte
TEXT ·apartText(SB),NOSPLIT,$0-8
	LEAQ	apartProgram<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
