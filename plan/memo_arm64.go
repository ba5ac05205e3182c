package plan

import "errors"

// On arm64 there are no memos: Go's runtime begins at once, see package entry.
type memo struct{}

func (*memo) exec(*program, Exec) (argv arg, paths []arg) { return lit(0), nil }

func (*memo) placeCommand(*program) {}

func (*memo) freeCommand(*program) {}

// Recalled returns none.
func Recalled() (c *Child, image, signals int, err error) { return nil, -1, -1, nil }

// RecalledPort is for a container that Recalled returns.
func RecalledPort() int { return 0 }

// Begun is for what a memo has started.
func Begun(Plan) error { return nil }

// MemoWanted returns no directory.
func MemoWanted() string { return "" }

// Keep keeps nothing.
func (*Memo) Keep(int) error { return errors.ErrUnsupported }
