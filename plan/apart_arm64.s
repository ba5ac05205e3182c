#include "textflag.h"
#include "go_asm.h"

// The interpreter as a program of its own: see apart_amd64.s.
TEXT apartProgram<>(SB),NOSPLIT|NOFRAME,$0-0
	SUB	$64, RSP, R21
	MOVD	(64+16)(R21), R1 // argv[1], a decimal number
	MOVD	ZR, R0
	MOVD	$10, R3
digit:
	MOVBU.P	1(R1), R2
	CBZ	R2, header
	SUB	$'0', R2
	MADD	R3, R2, R0, R0
	B	digit

header:
	MOVD	R0, R22
	MOVD	R21, R1
	MOVD	$apart__size, R2
	MOVD	ZR, R3
	MOVD	$67, R8 // pread64
	SVC
	CMP	$apart__size, R0
	BNE	stop

	MOVD	apart_address(R21), R0
	MOVD	apart_size(R21), R1
	MOVD	$3, R2 // PROT_READ|PROT_WRITE
	MOVD	$0x10, R3
	LSL	$16, R3
	ADD	$1, R3 // MAP_SHARED|MAP_FIXED_NOREPLACE
	MOVD	R22, R4
	MOVD	ZR, R5
	MOVD	$222, R8 // mmap
	SVC
	MOVD	apart_address(R21), R1
	CMP	R1, R0
	BNE	stop
	MOVD	R22, R0
	MOVD	$57, R8 // close
	SVC

	MOVD	apart_first(R21), R19
	MOVD	apart_machine(R21), R20
	B	next

stop:
	MOVD	$125, R0
	MOVD	$94, R8 // exit_group
	SVC
	BRK

#include "interpreter_arm64.h"

	// "rl-exec ends now"
	WORD $0x652d6c72
	WORD $0x20636578
	WORD $0x73646e65
	WORD $0x776f6e20

// func apartText() *[static.Max]byte
TEXT ·apartText(SB),NOSPLIT,$0-8
	MOVD	$apartProgram<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET
