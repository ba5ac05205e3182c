// Package doctor calls rl-doctor where something really is amiss.
package doctor
