// Package share has no code but its tests: containers in namespaces of other ones.
package share
