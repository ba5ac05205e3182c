package seccomp

import _ "embed" // for the directives below

// The programs that DefaultFilter gives out on arm64, written by go generate.
var (
	//go:embed stored/arm64-default.bpf
	storedDefault string
	//go:embed stored/arm64-none.bpf
	storedNone string
)
