// Command dump writes the keeper's image for its own architecture to standard output.
package main

import (
	"os"

	"github.com/rl-run/rl-run/internal/keeper"
)

func main() {
	if _, err := os.Stdout.Write(keeper.Image()); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}
