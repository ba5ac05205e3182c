// Package completion writes what bash, zsh and fish need to complete the command
// lines of the project's programs. It is no part of them: a test makes the files in
// contrib/completion with it, and holds them up to date.
package completion

import (
	"cmp"
	"slices"
	"strings"
)

// A Kind is what completes a value or an argument when it is known only where the
// shell runs. A word of a Flag that begins with @ names one.
type Kind string

// The kinds.
const (
	Files      Kind = "@files"
	Dirs       Kind = "@dirs"
	Containers Kind = "@containers"
	Joined     Kind = "@container:" // container:NAME
	Networks   Kind = "@networks"
	Programs   Kind = "@programs" // commands of this machine
	Inside     Kind = "@inside"   // programs below the directory that is the first argument
)

// Flag is an option of a command.
type Flag struct {
	Long, Short string
	About       string
	Takes       bool     // the value is the next word, or follows a "="
	Words       []string // the values that are known; a Kind among them; only behind "=" where Takes is false
}

// Command is a program, or a verb of one.
type Command struct {
	Name  string
	About string
	Flags []Flag
	First Kind // of the first argument; empty for none
	Rest  Kind // of those that follow
	Ends  bool // options end at the first argument
	Verbs []Command
}

// Flags returns the names that a command line may have, in the form -v and --volume.
func (f *Flag) names() []string {
	names := []string{"--" + f.Long}
	if f.Short != "" {
		names = append(names, "-"+f.Short)
	}
	return names
}

// FromHelp reads options out of the text of a help: lines of "  -x, --long VALUE  what
// it does", where the rest may stand on the lines below. takes says for a long name
// whether it needs a value, and known whether there is such an option.
func FromHelp(help string, takes func(long string) (takes, known bool)) []Flag {
	var flags []Flag
	lines := strings.Split(help, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "  -") {
			continue
		}
		head, about, _ := strings.Cut(strings.TrimSpace(line), "  ")
		if about = strings.TrimSpace(about); about == "" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "   ") {
			about = strings.TrimSpace(lines[i+1])
		}
		flags = merge(flags, heads(head, about, takes))
	}
	return flags
}

// heads are the options of one line, of which the last ones may give the others their values.
func heads(head, about string, takes func(string) (bool, bool)) []Flag {
	var flags []Flag
	short, value := "", ""
	items := strings.Split(head, ", -")
	for i := range items[1:] {
		items[i+1] = "-" + items[i+1]
	}
	values := make([]string, len(items))
	for i := len(items) - 1; i >= 0; i-- {
		if at := strings.IndexAny(items[i], " ["); at >= 0 {
			value = strings.TrimSpace(items[i][at:])
			items[i], values[i] = items[i][:at], value
		} else {
			values[i] = value
		}
	}
	for i, item := range items {
		if !strings.HasPrefix(item, "--") {
			short = item[1:]
			continue
		}
		f := Flag{Long: item[2:], Short: short, About: about}
		short = ""
		known := false
		if f.Takes, known = takes(f.Long); !known {
			continue
		}
		if f.Takes || strings.HasPrefix(values[i], "[=") {
			f.Words = words(values[i])
		}
		flags = append(flags, f)
	}
	return flags
}

// words reads the values that a help names: private|host|container:NAME.
func words(value string) (words []string) {
	if inner, optional := strings.CutPrefix(value, "[="); optional {
		value = strings.TrimSuffix(inner, "]")
	}
	if bare, _, some := strings.Cut(value, "[="); some { // no-new-privileges[=false]
		return []string{bare, strings.TrimSuffix(strings.Replace(value, "[=", "=", 1), "]")}
	}
	value, _, _ = strings.Cut(value, ",")
	key := ""
	for alternative := range strings.SplitSeq(value, "|") {
		if k, v, has := strings.Cut(alternative, "="); has && k == strings.ToLower(k) {
			key, alternative = k+"=", v
		}
		alternative, _, _ = strings.Cut(alternative, "[")
		switch {
		case alternative == "DIR":
			words = append(words, string(Dirs))
		case key == "" && (alternative == "FILE" || strings.HasPrefix(alternative, "SRC") || strings.HasPrefix(alternative, "/dev/X")):
			words = append(words, string(Files))
		case alternative == "NETWORK":
			words = append(words, string(Networks))
		case alternative == "container:NAME":
			words = append(words, string(Joined))
		case alternative == strings.ToLower(alternative) && strings.Trim(alternative, "0123456789-,") != "", alternative == "ALL":
			words = append(words, key+alternative)
		case key != "" && !slices.Contains(words, key):
			words = append(words, key)
		}
	}
	return words
}

// merge puts the values of an option that help has twice together.
func merge(flags, more []Flag) []Flag {
	for _, m := range more {
		at := slices.IndexFunc(flags, func(f Flag) bool { return f.Long == m.Long })
		if at < 0 {
			flags = append(flags, m)
			continue
		}
		flags[at].About = cmp.Or(flags[at].About, m.About)
		for _, w := range m.Words {
			if !slices.Contains(flags[at].Words, w) {
				flags[at].Words = append(flags[at].Words, w)
			}
		}
	}
	return flags
}
