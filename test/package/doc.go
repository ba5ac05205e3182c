// Package pack installs rl-run below a directory, packs it for Debian, installs and purges the
// package in a Debian tree, and reads the manual pages.
package pack
