package completion

import (
	"fmt"
	"strings"
)

// Bash returns one file for all commands.
func Bash(commands []Command) string {
	var b strings.Builder
	b.WriteString("# bash completion for rl-run and its kin. \"make completion\" makes it from the options; do not edit.\n\n")
	b.WriteString("# The options of a command, or of a verb of it.\n_rl_flags() {\n\tcase $1 in\n")
	each(commands, func(name string, c *Command) {
		var flags []string
		for i := range c.Flags {
			f := &c.Flags[i]
			flags = append(flags, f.names()...)
		}
		fmt.Fprintf(&b, "\t%q) echo %q ;;\n", name, strings.Join(append(flags, "--help"), " "))
	})
	b.WriteString("\tesac\n}\n\n# Does an option take the word behind it?\n_rl_takes() {\n\tcase $1:$2 in\n")
	each(commands, func(name string, c *Command) {
		var takes []string
		for i := range c.Flags {
			if f := &c.Flags[i]; f.Takes {
				for _, n := range f.names() {
					takes = append(takes, fmt.Sprintf("%q", name+":"+n))
				}
			}
		}
		if takes != nil {
			fmt.Fprintf(&b, "\t%s) return 0 ;;\n", strings.Join(takes, " | "))
		}
	})
	b.WriteString("\tesac\n\treturn 1\n}\n\n# The values of an option, and the arguments 1 and 2, which stands for all behind it.\n_rl_words() {\n\tcase $1:$2 in\n")
	each(commands, func(name string, c *Command) {
		row := func(key, words string) { fmt.Fprintf(&b, "\t%q) echo %q ;;\n", name+":"+key, words) }
		for i := range c.Flags {
			f := &c.Flags[i]
			for _, n := range f.names() {
				if f.Words != nil {
					row(n, strings.Join(f.Words, " "))
				}
			}
		}
		var verbs []string
		for i := range c.Verbs {
			verbs = append(verbs, c.Verbs[i].Name)
		}
		if c.First != "" || verbs != nil {
			row("1", strings.Join(append(verbs, string(c.First)), " "))
		}
		if c.Rest != "" {
			row("2", string(c.Rest))
		}
	})
	b.WriteString("\tesac\n}\n\n# Commands whose options end at the first argument.\n_rl_ends() {\n\tcase $1 in\n\t")
	var ends, names []string
	for i := range commands {
		names = append(names, commands[i].Name)
		if commands[i].Ends {
			ends = append(ends, commands[i].Name)
		}
	}
	fmt.Fprintf(&b, "%s) return 0 ;;\n\tesac\n\treturn 1\n}\n", strings.Join(ends, " | "))
	b.WriteString(bashCode)
	fmt.Fprintf(&b, "complete -F _rl %s\n", strings.Join(names, " "))
	return b.String()
}

// each calls f for the commands and their verbs, which are named after both.
func each(commands []Command, f func(name string, c *Command)) {
	for i := range commands {
		c := &commands[i]
		f(c.Name, c)
		for j := range c.Verbs {
			f(c.Name+" "+c.Verbs[j].Name, &c.Verbs[j])
		}
	}
}

const bashCode = `
# Offers what begins with the current word. Of that word readline keeps what stands before the last
# character of COMP_WORDBREAKS, so that is cut off.
_rl_offer() {
	local current=$1 keep='' mark word
	shift
	for mark in = :; do
		if [[ $COMP_WORDBREAKS == *"$mark"* && $current == *"$mark"* ]]; then
			word=${current%"${current##*"$mark"}"}
			((${#word} <= ${#keep})) || keep=$word
		fi
	done
	for word; do
		[[ $word != "$current"* ]] || COMPREPLY+=("${word#"$keep"}")
	done
	[[ ${#COMPREPLY[@]} != 1 || ${COMPREPLY[0]} != *[=:] ]] || compopt -o nospace 2>/dev/null
}

# Offers words, and what the words with an @ stand for. $1 stands before them in the current word: --net=
_rl_expand() {
	local before=$1 current=$2 root=$3 word dir program
	local -a found=()
	shift 3
	for word; do
		case $word in
		@files | @dirs)
			compopt -o filenames 2>/dev/null
			local how=-f
			[[ $word == @files ]] || how=-d
			mapfile -t -O "${#found[@]}" found < <(compgen $how -- "${current#"$before"}")
			;;
		@containers) mapfile -t -O "${#found[@]}" found < <(rl-ps -aq 2>/dev/null) ;;
		@container:)
			mapfile -t -O "${#found[@]}" found < <(rl-ps -q 2>/dev/null | sed 's/^/container:/')
			[[ container: != "${current#"$before"}"* || $current == *container:* ]] || found+=(container:)
			;;
		@networks) mapfile -t -O "${#found[@]}" found < <(rl-net ls 2>/dev/null | awk 'NR > 1 { print $1 }') ;;
		@programs) mapfile -t -O "${#found[@]}" found < <(compgen -c -- "${current#"$before"}" | sort -u) ;;
		@inside)
			for dir in usr/local/sbin usr/local/bin usr/sbin usr/bin sbin bin; do
				for program in "$root/$dir/${current#"$before"}"*; do
					[[ ! -x $program && ! -L $program ]] || found+=("${program##*/}")
				done
			done
			;;
		*) found+=("$word") ;;
		esac
	done
	_rl_offer "$current" "${found[@]/#/$before}"
}

# shellcheck disable=SC2046 # the words of the tables are split on purpose
_rl() {
	local command=${1##*/} line=${COMP_LINE:0:COMP_POINT} current flag='' first='' count=0 word i
	local -a words
	COMPREPLY=()
	# Bash cuts words at = and : too; here only blanks end a word.
	# shellcheck disable=SC2162 # a backslash before a blank is meant
	read -a words <<<"$line"
	[[ $line != *[[:blank:]] ]] || words+=('')
	current=${words[${#words[@]} - 1]}
	for ((i = 1; i < ${#words[@]} - 1; i++)); do
		word=${words[i]}
		if [[ $flag ]]; then
			flag=''
		elif [[ $word == -* ]] && { ((count == 0)) || ! _rl_ends "$command"; }; then
			! _rl_takes "$command" "$word" || flag=$word
		else
			((count++ > 0)) || first=$word
			# A verb has options of its own.
			if [[ $count == 1 && $(_rl_flags "$command $word") ]]; then
				command="$command $word" count=0
			fi
		fi
	done
	if [[ $flag ]]; then
		_rl_expand '' "$current" "$first" $(_rl_words "$command" "$flag")
	elif [[ $current == -* ]] && { ((count == 0)) || ! _rl_ends "$command"; }; then
		if [[ $current == --*=* ]]; then
			_rl_expand "${current%%=*}=" "$current" "$first" $(_rl_words "$command" "${current%%=*}")
		else
			_rl_expand '' "$current" "$first" $(_rl_flags "$command")
		fi
	elif ((count == 0)); then
		_rl_expand '' "$current" "$first" $(_rl_words "$command" 1)
	else
		_rl_expand '' "$current" "$first" $(_rl_words "$command" 2)
	fi
}

`
