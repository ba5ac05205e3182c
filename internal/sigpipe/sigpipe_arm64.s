#include "textflag.h"

// See sigpipe_amd64.s. The handler returns to the vDSO's restorer.
TEXT handler<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVW	R0, R3
	MOVD	$172, R8 // getpid
	SVC
	MOVW	·self(SB), R1
	CMPW	R1, R0
	BNE	done
	MOVW	R3, R0
	MOVD	RSP, R1
	SUB	$64, R1
	MOVW	R0, (R1)
	MOVW	·writeEnd(SB), R0
	MOVD	$4, R2
	MOVD	$64, R8 // write
	SVC
done:
	RET

TEXT ·handlerAddress(SB),NOSPLIT,$0-8
	MOVD	$handler<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

TEXT ·restorerAddress(SB),NOSPLIT,$0-8
	MOVD	ZR, ret+0(FP)
	RET
