// Package completion has bash, zsh and fish complete command lines of rl-run and its kin.
package completion
