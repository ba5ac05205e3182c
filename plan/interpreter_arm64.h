// The loop of the interpreter: see interpreter_arm64.s.

next:
	MOVWU	op_deref(R19), R9
	MOVD	(op_arg+0)(R19), R0
	TBZ	$0, R9, arg1
	MOVD	(R0), R0
arg1:
	MOVD	(op_arg+8)(R19), R1
	TBZ	$1, R9, arg2
	MOVD	(R1), R1
arg2:
	MOVD	(op_arg+16)(R19), R2
	TBZ	$2, R9, arg3
	MOVD	(R2), R2
arg3:
	MOVD	(op_arg+24)(R19), R3
	TBZ	$3, R9, arg4
	MOVD	(R3), R3
arg4:
	MOVD	(op_arg+32)(R19), R4
	TBZ	$4, R9, arg5
	MOVD	(R4), R4
arg5:
	MOVD	(op_arg+40)(R19), R5

	MOVWU	op_kind(R19), R9
	CMPW	$const_kindCompare, R9
	BEQ	compare
	CMPW	$const_kindDecimal, R9
	BEQ	decimal
	MOVD	op_nr(R19), R8
	SVC
	CMPW	$const_kindClone, R9
	BNE	store
	CBNZ	R0, store
	// the new process: its own program and machine
	MOVD	R2, R19
	MOVD	R3, R20
	B	next

store:
	MOVD	op_out(R19), R10
	CBZ	R10, judge
	MOVD	R0, (R10)
judge:
	CMN	$4095, R0
	BHS	failed // unsigned: -4095 … -1 are errnos
	CMPW	$const_kindWant, R9
	BNE	done
	MOVD	op_want(R19), R10
	CMP	R10, R0
	BEQ	done
	MOVD	$const_errUnwanted, R0
	B	errno
done:
	ADD	$op__size, R19
	B	next

compare:
	AND	R1, R0, R0
	CMP	R2, R0
	BEQ	done
	MOVD	R3, R0
	B	errno

decimal:
	MOVD	$10, R10
divide:
	UDIV	R10, R0, R11
	MSUB	R10, R0, R11, R12 // the remainder
	ADD	$48, R12 
	SUB	$1, R1
	MOVB	R12, (R1)
	MOVD	R11, R0
	CBNZ	R0, divide
	B	done

failed:
	NEG	R0, R0
errno:
	CMP	$64, R0
	BHS	report
	MOVD	op_mask1(R19), R10
	LSR	R0, R10, R10
	TBZ	$0, R10, second
	MOVW	op_jump1(R19), R10
	ADD	R10, R19
	B	next
second:
	MOVD	op_mask2(R19), R10
	LSR	R0, R10, R10
	TBZ	$0, R10, report
	MOVW	op_jump2(R19), R10
	ADD	R10, R19
	B	next

report:
	MOVWU	op_step(R19), R10
	MOVW	R10, machine_step(R20)
	MOVW	R0, machine_errno(R20)
	// It ends by itself now: not, with all that it has open, at its parent's end.
	MOVD	$1, R0 // PR_SET_PDEATHSIG
	MOVD	ZR, R1
	MOVD	$167, R8 // prctl
	SVC
	MOVD	machine_control(R20), R0
	ADD	$machine_step, R20, R1
	MOVD	$8, R2
	MOVD	$64, R8 // write
	SVC
	MOVD	machine_other(R20), R0
	MOVD	$57, R8 // close
	SVC
	MOVW	machine_command(R20), R0
	MOVD	$1, R1 // SHUT_WR
	MOVD	$210, R8 // shutdown
	SVC
	ADD	$machine_command, R20, R0
	MOVD	$1, R1
	ADD	$machine_linger, R20, R2
	MOVD	ZR, R3
	MOVD	$73, R8 // ppoll
	SVC
	// The kernel lets go of memory before files at the end of a process, and whoever has no memory is not undumpable any more
	// (ptrace_may_access): for that moment a container's root could look at what is open.
	MOVD	ZR, R0
	MOVW	$-1, R1
	MOVD	ZR, R2
	MOVD	$436, R8 // close_range
	SVC
	MOVD	$125, R0
	MOVD	$94, R8 // exit_group
	SVC
	BRK
