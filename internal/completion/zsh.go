package completion

import (
	"fmt"
	"strings"
)

// Zsh returns one file for all commands, to be named _rl-run.
func Zsh(commands []Command) string {
	var b strings.Builder
	var names []string
	for i := range commands {
		names = append(names, commands[i].Name)
	}
	fmt.Fprintf(&b, "#compdef %s\n", strings.Join(names, " "))
	b.WriteString("# zsh completion for rl-run and its kin. \"make completion\" makes it from the options; do not edit.\n")
	b.WriteString(zshCode)
	each(commands, func(name string, c *Command) {
		fmt.Fprintf(&b, "\n_of_%s() {\n\t_arguments -s -S", strings.ReplaceAll(name, " ", "_"))
		if c.Ends {
			b.WriteString(" -A '-*'")
		}
		b.WriteString(" :")
		for i := range c.Flags {
			zshFlag(&b, &c.Flags[i])
		}
		b.WriteString(" \\\n\t\t'--help[say what there is]'")
		switch {
		case c.Verbs != nil:
			b.WriteString(" \\\n\t\t'1:command: _rl_value")
			for i := range c.Verbs {
				b.WriteString(" " + c.Verbs[i].Name)
			}
			fmt.Fprintf(&b, "' \\\n\t\t'*::argument:_of_%s_verb'", c.Name)
		case c.Ends:
			fmt.Fprintf(&b, " \\\n\t\t'*::argument: _rl_behind %s %s'", c.First, c.Rest)
		default:
			if c.First != "" {
				fmt.Fprintf(&b, " \\\n\t\t'1:argument: _rl_value %s'", c.First)
			}
			if c.Rest != "" {
				fmt.Fprintf(&b, " \\\n\t\t'*:argument: _rl_value %s'", c.Rest)
			}
		}
		b.WriteString("\n}\n")
		if c.Verbs != nil {
			fmt.Fprintf(&b, "\n_of_%[1]s_verb() { (( $+functions[_of_%[1]s_$words[1]] )) && _of_%[1]s_$words[1]; }\n", c.Name)
		}
	})
	b.WriteString("\n_of_$service \"$@\"\n")
	return b.String()
}

func zshFlag(b *strings.Builder, f *Flag) {
	about := strings.NewReplacer("'", `'\''`, "[", "(", "]", ")", ":", `\:`).Replace(f.About)
	value := ""
	words := strings.NewReplacer(":", `\:`).Replace(strings.Join(f.Words, " "))
	switch {
	case f.Takes:
		value = ":value: _rl_value " + words
		if words == "" {
			value = ":value: "
		}
	case f.Words != nil:
		value = "::value: _rl_value " + words
	}
	for _, name := range f.names() {
		mark := ""
		switch {
		case value == "":
		case f.Takes && len(name) == 2:
			mark = "+"
		case f.Takes:
			mark = "="
		case len(name) > 2:
			mark = "=-"
		}
		fmt.Fprintf(b, " \\\n\t\t'*%s%s[%s]%s'", name, mark, about, value)
	}
}

const zshCode = `
# Offers words, and what the words with an @ stand for.
_rl_value() {
	local word ret=1
	local -a found ending
	for word; do
		case $word in
		@files) _files && ret=0 ;;
		@dirs) _directories && ret=0 ;;
		@containers) found+=(${(f)"$(rl-ps -aq 2>/dev/null)"}) ;;
		@container:) found+=(container:${^${(f)"$(rl-ps -q 2>/dev/null)"}}) ;;
		@networks) found+=(${${(f)"$(rl-net ls 2>/dev/null)"}[2,-1]%%[[:blank:]]*}) ;;
		@programs) _command_names -e && ret=0 ;;
		*[=:]) ending+=($word) ;;
		*) found+=($word) ;;
		esac
	done
	(( $#found )) && compadd -a found && ret=0
	(( $#ending )) && compadd -S '' -a ending && ret=0
	return ret
}

# The first argument, and those behind it, to which no options belong.
_rl_behind() {
	local root=${(Q)words[1]} dir
	local -a found
	if (( CURRENT == 1 )); then
		_rl_value $1
	elif [[ $2 == @inside ]]; then
		for dir in usr/local/sbin usr/local/bin usr/sbin usr/bin sbin bin; do
			found+=($root/$dir/*(N:t))
		done
		(( CURRENT == 2 )) && compadd -a found
	elif [[ $2 == @programs ]]; then
		(( CURRENT == 2 )) && _rl_value $2 || _default
	fi
}
`
