package launch

// Hinted is an error with a remedy.
type Hinted struct {
	Err  error
	Hint string // one line: the exact command or line to add
}

func (e *Hinted) Error() string { return e.Err.Error() }

func (e *Hinted) Unwrap() error { return e.Err }

// hinted adds a remedy to an error; an empty one changes nothing.
func hinted(err error, hint string) error {
	if hint == "" {
		return err
	}
	return &Hinted{err, hint}
}
