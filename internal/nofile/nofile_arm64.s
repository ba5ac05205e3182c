#include "textflag.h"

// prlimit64(0, RLIMIT_NOFILE, NULL, lim)
TEXT ·getrlimit(SB),NOSPLIT,$0-8
	MOVD	lim+0(FP), R3
	MOVD	$0, R0
	MOVD	$7, R1
	MOVD	$0, R2
	MOVD	$261, R8
	SVC
	RET
