// Package hostile attacks containers from within and without, as the programs and trees of an enemy would. Beside
// each attack stands a control: the same attack where nothing stops it, under unshare, bwrap, nsenter or a shell script.
// An attack that could not succeed anywhere would prove nothing. What is attacked is a canary outside of the container.
//
// Attacks that other packages try already are named in SECURITY.md.
package hostile
