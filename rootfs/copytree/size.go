package copytree

import (
	"fmt"
	"math"
	"strconv"

	"golang.org/x/sys/unix"
)

// TooBig is the error for a tree that does not fit the tmpfs. Nothing was
// copied.
type TooBig struct {
	// Need and Free are bytes: what the tree takes, in whole pages, and what the
	// tmpfs has left. A tmpfs without a limit has math.MaxInt64 left.
	Need, Free int64

	// NeedInodes and FreeInodes are inodes as a tmpfs counts them: each name is
	// one, further names of a hard link too.
	NeedInodes, FreeInodes int64
}

// Error gives both sizes in units for people.
func (e *TooBig) Error() string {
	need, free := humanBytes(e.Need), humanBytes(e.Free)
	if need == free && e.Need > e.Free { // equal but for what rounding hides
		need, free = strconv.FormatInt(e.Need>>10, 10)+" KiB", strconv.FormatInt(e.Free>>10, 10)+" KiB"
	}
	needi, freei := humanCount(e.NeedInodes), humanCount(e.FreeInodes)
	if needi == freei && e.NeedInodes > e.FreeInodes {
		needi, freei = strconv.FormatInt(e.NeedInodes, 10), strconv.FormatInt(e.FreeInodes, 10)
	}
	return fmt.Sprintf("tree needs %s and %s inodes, the tmpfs has %s and %s", need, needi, free, freei)
}

// Unreadable is the error for entries that the caller may not read: files of an
// owner outside the id map, most often. Everything else was copied.
type Unreadable struct {
	Count int64  // number of entries left out, at least 1
	Path  string // the one that sorts first, as in Tally
}

// Error names one entry and the number of the others.
func (e *Unreadable) Error() string {
	s := "copy " + e.Path + ": " + unix.EACCES.Error()
	if e.Count > 1 {
		s += fmt.Sprintf(" (and %d more)", e.Count-1)
	}
	return s
}

// Unwrap makes errors.Is(err, fs.ErrPermission) hold.
func (e *Unreadable) Unwrap() error { return unix.EACCES }

// fits compares what the tree needs with what the tmpfs at fd has left.
func (t *tree) fits(fd int) error {
	var st unix.Statfs_t
	if errno := fstatfs(fd, &st); errno != 0 {
		return pathError("statfs", "destination", errno)
	}
	free, freeInodes := int64(math.MaxInt64), int64(math.MaxInt64)
	if st.Blocks != 0 { // size=0 is no limit: tmpfs(5)
		free = int64(st.Bavail) * st.Bsize
	}
	if st.Files != 0 { // and so is nr_inodes=0
		freeInodes = int64(st.Ffree)
	}
	// A size is only what a filesystem says: it must not overflow into fitting.
	need := min(t.pages, (math.MaxInt64-1)/pageSize) * pageSize
	if need > free || t.inodes > freeInodes {
		return &TooBig{Need: need, Free: free, NeedInodes: t.inodes, FreeInodes: freeInodes}
	}
	return nil
}

// humanBytes gives n bytes with a binary unit and at most three digits before
// the point, with one behind it where that is at most two.
func humanBytes(n int64) string {
	if n == math.MaxInt64 {
		return "unlimited space"
	}
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}
	v, u := float64(n), 0
	for v >= 1023.5 && u < len(units)-1 {
		v /= 1024
		u++
	}
	return short(v) + " " + units[u]
}

// humanCount gives n as it is up to 99999, and in thousands or millions above.
func humanCount(n int64) string {
	switch {
	case n == math.MaxInt64:
		return "unlimited inodes"
	case n < 100_000:
		return strconv.FormatInt(n, 10)
	case n < 999_500:
		return short(float64(n)/1e3) + "k"
	}
	return short(float64(n)/1e6) + "M"
}

// short formats v with one decimal below 100, and without where that is 0.
func short(v float64) string {
	if r := math.Round(v*10) / 10; r < 100 && r != math.Trunc(r) {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return strconv.FormatFloat(math.Round(v), 'f', 0, 64)
}
