// Package arch has no code of its own: its tests hold what is true of the whole
// source tree, such as which package may import which.
package arch
