package completion

import (
	"fmt"
	"strings"
)

// Fish returns one file for a command: fish looks for it by the command's name.
func Fish(c *Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion for %s. \"make completion\" makes it from the options; do not edit.\n\n", c.Name)
	fmt.Fprintf(&b, "complete -c %s -f\n", c.Name)
	function := "__" + strings.ReplaceAll(c.Name, "-", "_") + "_words"
	fmt.Fprintf(&b, fishWords, function, strings.Join(fishTakes(c), " "))
	if c.Verbs == nil {
		fishCommand(&b, c, function, "", "")
		return b.String()
	}
	var verbs []string
	for i := range c.Verbs {
		v := &c.Verbs[i]
		verbs = append(verbs, v.Name)
		fishCommand(&b, v, function, c.Name, "string match -q -- "+v.Name+" ("+function+")[1]; and ")
	}
	fmt.Fprintf(&b, "complete -c %s -n 'not %s' -a '%s'\n", c.Name, function, strings.Join(verbs, " "))
	fmt.Fprintf(&b, "complete -c %s -l help -d 'say what there is'\n", c.Name)
	return b.String()
}

// fishTakes are the options whose value is the next word.
func fishTakes(c *Command) (names []string) {
	each([]Command{*c}, func(_ string, c *Command) {
		for i := range c.Flags {
			if f := &c.Flags[i]; f.Takes {
				names = append(names, f.names()...)
			}
		}
	})
	return names
}

func fishCommand(b *strings.Builder, c *Command, function, program, verb string) {
	if program == "" {
		program = c.Name
	}
	when := ""
	switch {
	case c.Ends:
		when = " -n 'not " + function + " >/dev/null'"
	case verb != "":
		when = " -n '" + strings.TrimSuffix(verb, "; and ") + "'"
	}
	for i := range c.Flags {
		f := &c.Flags[i]
		fmt.Fprintf(b, "complete -c %s%s -l %s", program, when, f.Long)
		if f.Short != "" {
			fmt.Fprintf(b, " -s %s", f.Short)
		}
		files := len(f.Words) == 1 && f.Words[0] == string(Files)
		switch {
		case files:
			b.WriteString(" -r -F")
		case f.Takes:
			b.WriteString(" -x")
		}
		if f.Words != nil && !files {
			fmt.Fprintf(b, " -a '%s'", fishKinds(f.Words, function))
		}
		if f.About != "" {
			fmt.Fprintf(b, " -d '%s'", strings.ReplaceAll(f.About, "'", `\'`))
		}
		b.WriteString("\n")
	}
	if verb == "" {
		fmt.Fprintf(b, "complete -c %s%s -l help -d 'say what there is'\n", program, when)
	}
	if c.First != "" {
		alone := ""
		if c.First != c.Rest {
			alone = " -n 'not " + function + " >/dev/null'"
		}
		if verb != "" {
			alone = " -n '" + strings.TrimSuffix(verb, "; and ") + "'"
		}
		fmt.Fprintf(b, "complete -c %s%s -a '%s'\n", program, alone, fishKinds([]string{string(c.First)}, function))
	}
	if c.Rest != "" && c.Rest != c.First {
		fmt.Fprintf(b, "complete -c %s -n '%s >/dev/null' -a '%s'\n", program, function, fishKinds([]string{string(c.Rest)}, function))
	}
}

// fishKinds are the words as an argument of complete -a, which fish expands when it is asked.
func fishKinds(words []string, function string) string {
	var out []string
	for _, w := range words {
		switch Kind(w) {
		case Files:
			w = "(__fish_complete_path)"
		case Dirs:
			w = `(__fish_complete_directories (commandline -ct | string replace -r "^--?[a-z-]*=" ""))`
		case Containers:
			w = "(rl-ps -aq 2>/dev/null)"
		case Joined:
			w = `container: (rl-ps -q 2>/dev/null | string replace -r "^" container:)`
		case Networks:
			w = `(rl-net ls 2>/dev/null | string replace -rf "^(\\\\S+).*" "\\$1" | tail -n +2)`
		case Programs:
			w = "(__fish_complete_command)"
		case Inside:
			w = "(set -l tree (" + function + `)[1]; path filter -f $tree/{usr/local/,usr/,}{sbin,bin}/* 2>/dev/null | path basename)`
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

const fishWords = `
# The words before the cursor that are neither options nor values of them. Fails when there are none.
function %[1]s
    set -l found
    set -l value no
    for word in (commandline -opc)[2..]
        if test $value = yes
            set value no
        else if contains -- $word %[2]s
            set value yes
        else if not string match -q -- '-*' $word
            set found $found $word
        end
    end
    test -n "$found"; or return 1
    printf '%%s\n' $found
end

`
