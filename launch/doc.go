// Package launch starts a container: Spec is what was asked for, Probe finds out
// what this machine can do, Compile decides and returns a plan, Launch and Supervise execute it.
package launch
