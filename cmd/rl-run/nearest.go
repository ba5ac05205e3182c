package main

import "github.com/spf13/pflag"

// nearest is the flag whose name differs least from a mistyped one, by at most
// two letters; empty where none is so near.
func nearest(fs *pflag.FlagSet, name string) string {
	best, least := "", 3
	fs.VisitAll(func(f *pflag.Flag) {
		if d := distance(f.Name, name); d < least && d < len(name) {
			best, least = f.Name, d
		}
	})
	return best
}

// distance is how many letters must be put in, left out or replaced.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
