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

// uc_sigmask is behind uc_flags, uc_link and uc_stack here.
TEXT blocker<>(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVD	·caught(SB), R0
	MOVD	40(R2), R1
	ORR	R0, R1
	MOVD	R1, 40(R2)
	MOVD	$·blocking(SB), R3
again:
	LDAXRW	(R3), R0
	ADD	$1, R0
	STLXRW	R0, (R3), R1
	CBNZ	R1, again
	RET

TEXT ·handlerAddress(SB),NOSPLIT,$0-8
	MOVD	$handler<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

TEXT ·blockerAddress(SB),NOSPLIT,$0-8
	MOVD	$blocker<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

TEXT ·restorerAddress(SB),NOSPLIT,$0-8
	MOVD	ZR, ret+0(FP)
	RET
