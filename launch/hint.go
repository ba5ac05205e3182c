package launch

// Hinted is an error with a remedy.
type Hinted struct {
	Err  error
	Hint string // one line: the exact command or line to add
}

func (e *Hinted) Error() string { return e.Err.Error() }

func (e *Hinted) Unwrap() error { return e.Err }

func hinted(err error, hint string) error { return &Hinted{err, hint} }
