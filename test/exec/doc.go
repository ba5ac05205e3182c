// Package exec has no code but its tests: commands in containers that run, called as users call them.
package exec
