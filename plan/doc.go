// Package plan holds a start as data: an ordered list of steps, each with the
// actor that takes it, the rules of order between steps, their lowering to raw
// system calls, and the interpreter that runs those calls in the child between
// clone and exec, without the Go runtime.
package plan
