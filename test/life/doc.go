// Package life has no code but its tests: the commands that look after containers, called as users call them, from
// the start of a container until nothing of it is left.
package life
