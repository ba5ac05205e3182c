// Package recall has no code but its tests: containers that start by a memo, the plan of an earlier start that was kept,
// are the same as others, and whatever has changed since makes rl-run compile a plan anew.
//
// Whether a memo was used is seen from outside: Go's runtime, which it does without, asks for the action of each signal.
package recall
