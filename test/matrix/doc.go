// Package matrix starts containers in all combinations of what a machine may have and lack: environments that are
// made for real, and proved before each start.
package matrix
