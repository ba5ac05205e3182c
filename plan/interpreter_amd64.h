// The loop of the interpreter: see interpreter_amd64.s.

next:
	// arguments: a literal, or with its bit set in op.deref the word it points to
	MOVL	op_deref(R12), BX
	MOVQ	(op_arg+0)(R12), DI
	BTL	$0, BX
	JCC	arg1
	MOVQ	(DI), DI
arg1:
	MOVQ	(op_arg+8)(R12), SI
	BTL	$1, BX
	JCC	arg2
	MOVQ	(SI), SI
arg2:
	MOVQ	(op_arg+16)(R12), DX
	BTL	$2, BX
	JCC	arg3
	MOVQ	(DX), DX
arg3:
	MOVQ	(op_arg+24)(R12), R10
	BTL	$3, BX
	JCC	arg4
	MOVQ	(R10), R10
arg4:
	MOVQ	(op_arg+32)(R12), R8
	BTL	$4, BX
	JCC	arg5
	MOVQ	(R8), R8
arg5:
	MOVQ	(op_arg+40)(R12), R9

	MOVL	op_kind(R12), BX
	CMPL	BX, $const_kindCompare
	JEQ	compare
	CMPL	BX, $const_kindDecimal
	JEQ	decimal
	MOVQ	op_nr(R12), AX
	SYSCALL
	CMPL	BX, $const_kindClone
	JNE	store
	TESTQ	AX, AX
	JNZ	store
	// the new process: its own program and machine
	MOVQ	DX, R12
	MOVQ	R10, R13
	JMP	next

store:
	MOVQ	op_out(R12), CX
	TESTQ	CX, CX
	JZ	judge
	MOVQ	AX, (CX)
judge:
	CMPQ	AX, $-4095
	JCC	failed // unsigned: -4095 … -1 are errnos
	CMPL	BX, $const_kindWant
	JNE	done
	CMPQ	AX, op_want(R12)
	JEQ	done
	MOVQ	$const_errUnwanted, AX
	JMP	errno
done:
	ADDQ	$op__size, R12
	JMP	next

compare:
	ANDQ	SI, DI
	CMPQ	DI, DX
	JEQ	done
	MOVQ	R10, AX
	JMP	errno

decimal:
	MOVQ	DI, AX
	MOVL	$10, CX
divide:
	XORL	DX, DX
	DIVQ	CX
	ADDL	$48, DX 
	DECQ	SI
	MOVB	DX, (SI)
	TESTQ	AX, AX
	JNZ	divide
	JMP	done

failed:
	NEGQ	AX
errno:
	CMPQ	AX, $64
	JCC	report
	MOVQ	op_mask1(R12), CX
	BTQ	AX, CX
	JCC	second
	MOVLQSX	op_jump1(R12), CX
	ADDQ	CX, R12
	JMP	next
second:
	MOVQ	op_mask2(R12), CX
	BTQ	AX, CX
	JCC	report
	MOVLQSX	op_jump2(R12), CX
	ADDQ	CX, R12
	JMP	next

report:
	MOVL	op_step(R12), CX
	MOVL	CX, machine_step(R13)
	MOVL	AX, machine_errno(R13)
	MOVQ	machine_control(R13), DI
#ifdef LAUNCHER
	TESTQ	DI, DI
	JLT	back // not a child, but the launcher itself
#endif
	// It ends by itself now: not, with all that it has open, at its parent's end.
	MOVQ	$1, DI // PR_SET_PDEATHSIG
	MOVQ	$0, SI
	MOVQ	$157, AX // prctl
	SYSCALL
	MOVQ	machine_control(R13), DI
	LEAQ	machine_step(R13), SI
	MOVQ	$8, DX
	MOVQ	$1, AX // write
	SYSCALL
	MOVQ	machine_other(R13), DI
	MOVQ	$3, AX // close
	SYSCALL
	MOVLQSX	machine_command(R13), DI
	MOVQ	$1, SI // SHUT_WR
	MOVQ	$48, AX // shutdown
	SYSCALL
	LEAQ	machine_command(R13), DI
	MOVQ	$1, SI
	LEAQ	machine_linger(R13), DX
	MOVQ	$0, R10
	MOVQ	$271, AX // ppoll
	SYSCALL
	// The kernel lets go of memory before files at the end of a process, and whoever has no memory is not undumpable any more
	// (ptrace_may_access): for that moment a container's root could look at what is open.
	MOVQ	$0, DI
	MOVL	$0xffffffff, SI
	MOVQ	$0, DX
	MOVQ	$436, AX // close_range
	SYSCALL
	MOVQ	$125, DI
	MOVQ	$231, AX // exit_group
	SYSCALL
	INT	$3

#ifdef LAUNCHER
back:
	RET
#endif
