package explain

// Tokens and Taken are for tests from outside.
var Tokens = unquote

// Taken returns the variables that the script uses itself.
func Taken() []string { return taken[:] }
