package explain

import (
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/rl-run/rl-run/plan"
)

// public are the variables whose values are no secret: those that every container
// has, and those that a shell changes, so that the caller's value is lost.
var public = [...]string{"PATH", "HOME", "USER", "TERM", "LANG", "HOSTNAME", "container", "PWD", "OLDPWD", "_"}

// lost are the variables that a shell hands on with a value of its own.
var lost = [...]string{"PPID", "OPTIND", "IFS"}

// taken are the shell variables of the script itself.
var taken = [...]string{
	"at", "code", "dir", "found", "into", "last", "link", "links", "name", "part", "pid", "place", "rest",
	"root", "self", "stage", "tool",
}

// managed are the variables that a shell sets by itself when it changes its
// directory.
var managed = [...]string{"PWD", "OLDPWD"}

// exec writes the last block: the programs of the host that lead to the command.
func (w *script) exec(s plan.Exec) error {
	if err := sayable(s); err != nil {
		return err
	}
	env := w.environment(s.Env)
	w.remark("The last shell waits for the pivot, and then executes the command.")
	lines := []word{`exec setpriv "$@" -- env -i --`}
	lines = append(lines, env...)
	last := `/bin/sh -c "$last" sh ` + w.into
	for _, name := range managed {
		if i := slices.IndexFunc(env, func(kv word) bool { return strings.HasPrefix(string(kv), name+"=") }); i >= 0 {
			w.restore = append(w.restore, name)
			last += " " + env[i][len(name)+1:]
			if env[i] == word(name+"=") {
				last += "''"
			}
		}
	}
	command := make([]string, len(s.Argv))
	for i, a := range s.Argv {
		command[i] = string(quote(a))
	}
	lines = append(lines, last, word(strings.Join(command, " ")))
	for i, l := range lines[1:] {
		lines[i+1] = "\\\n\t\t" + l
	}
	w.run(lines...)
	w.executes, w.at.ends = true, true
	return nil
}

// environment returns the arguments of env(1).
func (w *script) environment(env []string) []word {
	var words []word
	var secret []string
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		hidden := !w.secrets && !slices.Contains(public[:], name)
		switch {
		case !identifier(name) || slices.Contains(lost[:], name):
			w.remark("left out: the variable %s, which a shell does not hand on", name)
		case hidden && slices.Contains(taken[:], name):
			w.remark("left out: the variable %s, which this script uses itself", name)
		case hidden:
			secret = append(secret, name)
			words = append(words, word(name+`="${`+name+`-}"`))
		default:
			words = append(words, assignment(name, value))
		}
	}
	if len(secret) > 0 {
		w.remark("From the environment of this script, since they may be secrets: %s", strings.Join(secret, " "))
	}
	return words
}

// sayable refuses an exec whose paths are not those that a shell would try.
func sayable(s plan.Exec) error {
	if len(s.Argv) == 0 {
		return errors.New("a shell executes no command without a name")
	}
	want := []string{s.Argv[0]}
	if !strings.Contains(s.Argv[0], "/") {
		want = nil
		for _, kv := range s.Env {
			if search, ok := strings.CutPrefix(kv, "PATH="); ok {
				for dir := range strings.SplitSeq(search, ":") {
					want = append(want, path.Join(dir, s.Argv[0]))
				}
			}
		}
	}
	if !slices.Equal(want, s.Paths) {
		return errors.New("a shell would look for it in other places")
	}
	return nil
}
