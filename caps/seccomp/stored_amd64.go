package seccomp

import _ "embed" // for the directives below

// The programs that DefaultFilter gives out on amd64, written by go generate.
var (
	//go:embed stored/amd64-default.bpf
	storedDefault string
	//go:embed stored/amd64-none.bpf
	storedNone string
)
