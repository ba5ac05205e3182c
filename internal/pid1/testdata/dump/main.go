// Command dump writes the init's image for its own architecture to standard output.
package main

import (
	"os"

	"github.com/rl-run/rl-run/internal/pid1"
)

func main() {
	if _, err := os.Stdout.Write(pid1.Image()); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
