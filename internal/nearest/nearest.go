// Package nearest finds the word that was meant by a mistyped one.
package nearest

import "iter"

// longest is how many bytes of a word are looked at: what is longer is no mistyped name.
const longest = 64

// Word returns the known word that is fewest edits away from another one, of equal ones the first: at most the given
// number of edits, and fewer than either word has letters. It is "" where none is so near.
func Word(word string, most int, known iter.Seq[string]) (near string) {
	if len(word) > longest {
		return ""
	}
	least := most + 1
	for k := range known {
		if len(k) > longest {
			continue
		}
		if d := distance(word, k); d < least && d < min(len(word), len(k)) {
			least, near = d, k
		}
	}
	return near
}

// distance is the number of letters put in, left out or replaced, and of neighbours
// swapped, that makes b of a. Both have at most longest bytes.
func distance(a, b string) int {
	var rows [3][longest + 1]int
	before, above, row := &rows[0], &rows[1], &rows[2]
	for j := range len(b) + 1 {
		above[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := above[j-1]
			if a[i-1] != b[j-1] {
				replace++
			}
			row[j] = min(replace, above[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, above, row = above, row, before
	}
	return above[len(b)]
}
