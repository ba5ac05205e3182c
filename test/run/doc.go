// Package run has no code but its tests: rl-run is started as its users start it, by a
// plain user and in real trees, and what is promised of a container is looked at from
// the inside and from the outside.
//
// Where a shell inside sees too little, the test program itself goes in as a probe: it
// is bound over a file of the container, finds RLRUN_PROBE in its environment, and
// prints what it found as JSON.
package run
