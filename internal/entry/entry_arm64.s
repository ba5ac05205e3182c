#include "textflag.h"

// There is no Start for this architecture, and nothing to undo.

// func restore()
TEXT ·restore(SB),NOSPLIT,$0-0
	RET
