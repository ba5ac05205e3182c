// Command dump writes the heir's image for its own architecture to standard output.
package main

import (
	"os"

	"github.com/rl-run/rl-run/internal/heir"
)

func main() {
	if _, err := os.Stdout.Write(heir.Image()); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
