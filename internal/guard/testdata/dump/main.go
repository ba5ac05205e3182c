// Command dump writes the guard's image for its own architecture to standard output.
package main

import (
	"os"

	"github.com/rl-run/rl-run/internal/guard"
)

func main() {
	if _, err := os.Stdout.Write(guard.Image()); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
