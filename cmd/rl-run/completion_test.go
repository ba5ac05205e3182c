package main

import (
	"flag"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/internal/completion"
)

var update = flag.Bool("update", false, "write the files of completion anew")

// completed are the commands as shells complete them: the options from their tables, with
// the values that the help names.
func completed() []completion.Command {
	const containers = completion.Containers
	return []completion.Command{
		{Name: "rl-run", Flags: ofTable(help, allOptions), First: completion.Dirs, Rest: completion.Inside, Ends: true},
		{Name: "rl-exec", Flags: ofTable(execHelp, execOptions), First: containers, Ends: true},
		{Name: "rl-unshare", Flags: ofTable(unshareHelp, unshareOptions), First: completion.Programs, Rest: completion.Programs, Ends: true},
		{Name: "rl-ps", Flags: ofHelp(psHelp)},
		{Name: "rl-logs", Flags: ofHelp(logsHelp), First: containers},
		{Name: "rl-stop", Flags: ofHelp(stopHelp), First: containers, Rest: containers},
		{Name: "rl-kill", Flags: ofHelp(killHelp), First: containers, Rest: containers},
		{Name: "rl-wait", Flags: ofHelp(waitHelp), First: containers, Rest: containers},
		{Name: "rl-inspect", Flags: ofHelp(inspectHelp), First: containers, Rest: containers},
		{Name: "rl-rm", Flags: ofHelp(rmHelp), First: containers, Rest: containers},
		{Name: "rl-doctor", Flags: ofHelp(doctorHelp)},
		{Name: "rl-net", Verbs: netVerbs()},
	}
}

func netVerbs() (list []completion.Command) {
	for _, v := range verbs {
		c := completion.Command{Name: v.name}
		if _, options, ok := strings.Cut(netHelp, "Options of "+v.name+":\n"); ok {
			options, _, _ = strings.Cut(options, "\n\n")
			c.Flags = ofHelp(options)
		}
		if v.name == "inspect" || v.name == "rm" {
			c.First, c.Rest = completion.Networks, completion.Networks
		}
		list = append(list, c)
	}
	return list
}

// ofTable are all options of a table, those first that help tells of.
func ofTable(help string, known iter.Seq[*option]) []completion.Flag {
	flags := completion.FromHelp(help, func(long string) (takes, ok bool) {
		for o := range known {
			if o.name == long {
				return o.bare == "", true
			}
		}
		return false, false
	})
	for o := range known {
		at := slices.IndexFunc(flags, func(f completion.Flag) bool { return f.Long == o.name })
		if at < 0 {
			at = len(flags)
			flags = append(flags, completion.Flag{Long: o.name, Takes: o.bare == ""})
		}
		flags[at].Short = o.short
		more(&flags[at])
	}
	return flags
}

// ofHelp are the options of a help whose table only its command has.
func ofHelp(help string) []completion.Flag {
	flags := completion.FromHelp(help, func(long string) (takes, ok bool) {
		return regexp.MustCompile(`(?m)^ .*--` + long + ` [A-Z]`).MatchString(help), true
	})
	for i := range flags {
		more(&flags[i])
	}
	return flags
}

// more adds the values that help leaves to other pages.
func more(f *completion.Flag) {
	switch f.Long {
	case "cap-add", "cap-drop":
		f.Words = []string{"ALL"}
		for _, name := range caps.Every.Names() {
			if _, number := strconv.Atoi(name); number != nil {
				f.Words = append(f.Words, strings.TrimPrefix(name, "CAP_"))
			}
		}
	case "signal", "stop-signal":
		for n := unix.Signal(1); n < 32; n++ {
			if name := unix.SignalName(n); name != "" {
				f.Words = append(f.Words, strings.TrimPrefix(name, "SIG"))
			}
		}
	}
}

// TestCompletion compares contrib/completion with what the options make of it.
func TestCompletion(t *testing.T) {
	commands := completed()
	files := map[string]string{"bash/rl-run": completion.Bash(commands), "zsh/_rl-run": completion.Zsh(commands)}
	for i := range commands {
		files["fish/"+commands[i].Name+".fish"] = completion.Fish(&commands[i])
	}
	dir := filepath.Join("..", "..", "contrib", "completion")
	for name, want := range files {
		path := filepath.Join(dir, name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not what the options make of it (%v): make completion", path, err)
		}
	}
	// Nothing is left of a command that is no more.
	for _, path := range must(filepath.Glob(filepath.Join(dir, "*", "*"))) {
		if name, err := filepath.Rel(dir, path); err != nil || files[name] == "" {
			t.Errorf("%s belongs to no command", path)
		}
	}
}

// TestCompletionKnowsValues looks at what is read out of the help.
func TestCompletionKnowsValues(t *testing.T) {
	rlRun := completed()[0].Flags
	for name, want := range map[string]string{
		"net":          "auto none host pasta slirp4netns veth @networks @container:",
		"network":      "auto none host pasta slirp4netns veth @networks @container:",
		"pid":          "private host @container:",
		"cgroupns":     "private host @container:",
		"userns":       "auto single keep-id @container:",
		"explain":      "text json sh",
		"limits":       "require best-effort",
		"keep":         "@dirs",
		"volume":       "@files",
		"env-file":     "@files",
		"rw":           "",
		"memory":       "",
		"security-opt": "seccomp= seccomp=unconfined no-new-privileges no-new-privileges=false mask= unmask= unmask=ALL",
	} {
		at := slices.IndexFunc(rlRun, func(f completion.Flag) bool { return f.Long == name })
		if at < 0 {
			t.Errorf("--%s is not completed", name)
		} else if got := strings.Join(rlRun[at].Words, " "); got != want {
			t.Errorf("--%s: got %q, want %q", name, got, want)
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
