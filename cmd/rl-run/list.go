package main

import (
	"strings"

	"github.com/spf13/pflag"
)

// list is a flag that may be given more than once. pflag's own lists print
// their default as CSV when they are defined, each with a buffer of 4 KiB, which
// a start would pay for.
type list struct {
	to    *[]string
	comma bool // commas separate values, too
}

func (l list) Set(value string) error {
	if l.comma {
		*l.to = append(*l.to, strings.Split(value, ",")...)
	} else {
		*l.to = append(*l.to, value)
	}
	return nil
}

func (l list) String() string { return "" }

func (l list) Type() string { return "list" }

// listVar defines a flag that may be given more than once.
func listVar(fs *pflag.FlagSet, to *[]string, name, short string) {
	fs.VarP(list{to: to}, name, short, "")
}
