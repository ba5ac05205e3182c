#include "textflag.h"

// prlimit64(0, RLIMIT_NOFILE, NULL, lim)
TEXT ·getrlimit(SB),NOSPLIT,$0-8
	MOVQ	lim+0(FP), R10
	MOVQ	$0, DI
	MOVQ	$7, SI
	MOVQ	$0, DX
	MOVQ	$302, AX
	SYSCALL
	RET
