// Package badinput has no code but its tests: rl-run is given what it cannot do, or
// what somebody made to harm it, and has to say so as it promises to. One line names
// the thing and the cause, one more the remedy where there is one, the exit code is
// 125, 126 or 127, and nothing is left behind, neither on the machine nor in the tree.
//
// The scripts in testdata/script show the most usual mistakes as a session in a shell.
package badinput
