package completion

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestMain(m *testing.M) { os.Exit(trial.Tests(m).Run()) }

// lines are what a user has typed, and what the shell then offers. NONE stands for nothing.
var lines = []struct{ typed, want string }{
	{"rl-run --memo", "--memory --memory-swap"},
	{"rl-run --read", "--read-only"},
	{"rl-run --net ho", "host"},
	{"rl-run --net=sli", "slirp4netns"},
	{"rl-run --rw --userns keep", "keep-id"},
	{"rl-run --explain=", "text json sh"},
	{"rl-run --limits ", "require best-effort"},
	{"rl-run --security-opt seccomp=un", "seccomp=unconfined"},
	{"rl-run --cap-add NET_", "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW"},
	{"rl-run --pid container:habit-o", "container:habit-one"},
	{"rl-run --keep=./tre", "tree/"},
	{"rl-run -v ./tre", "tree/"},
	{"rl-run --net host tre", "tree/"},
	{"rl-run --name x tree mkfif", "mkfifo"},
	{"rl-run tree --net=h", "NONE"}, // it belongs to the command
	{"rl-exec -u root habit-t", "habit-two"},
	{"rl-stop habit-o", "habit-one"},
	{"rl-stop -t 1 habit-one habit-t", "habit-two"},
	{"rl-kill -s TS", "TSTP"},
	{"rl-logs --t", "--tail"},
	{"rl-inspect --sh", "--show-secrets"},
	{"rl-rm -f habit-o", "habit-one"},
	{"rl-net cre", "create"},
	{"rl-net create --inter", "--internal"},
	{"rl-net ls --j", "--json"},
	{"rl-ps --j", "--json"},
	{"rl-unshare --uid", "--uidmap"},
	{"rl-doctor --j", "--json"},
}

// begin starts two containers, and returns a directory with a tree, and what the shells need.
func begin(t *testing.T, shell string) (dir string, env []string) {
	t.Helper()
	trial.NeedUser(t)
	trial.NeedTool(t, shell)
	leak.Watch(t)
	tree := trial.Tree(t, "busybox")
	for _, name := range []string{"habit-one", "habit-two"} {
		trial.Run(t, "-d", "--net=none", "--quiet", "--name", name, tree, "sleep", "600").OK(t)
	}
	t.Cleanup(func() {
		trial.Command{Path: trial.Bin(t, "rl-rm"), Args: []string{"-f", "habit-one", "habit-two"}}.Run(t).OK(t)
	})
	dir = t.TempDir()
	if err := os.Symlink(tree, filepath.Join(dir, "tree")); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Dir(trial.Bin(t, "rl-run"))
	for _, name := range []string{"rl-ps", "rl-net"} {
		trial.Bin(t, name)
	}
	return dir, []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "TERM=dumb"}
}

func contrib(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "contrib", "completion", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// compare looks at what a shell offers, of which ending slashes, order and what stands
// before the last = or : of the word are its own affair.
func compare(t *testing.T, typed, want string, got []string) {
	t.Helper()
	plain := func(words []string) []string {
		for i, w := range words {
			w = strings.TrimSuffix(w, "/")
			w = w[strings.LastIndexAny(w, "=:")+1:]
			words[i] = strings.TrimPrefix(w, "./")
		}
		slices.Sort(words)
		return slices.Compact(words)
	}
	wanted := plain(strings.Fields(want))
	if want == "NONE" {
		wanted = nil
	}
	if got := plain(got); !slices.Equal(got, wanted) {
		t.Errorf("%q: got %q, want %q", typed, got, wanted)
	}
}

func TestBash(t *testing.T) {
	dir, env := begin(t, "bash")
	const script = `
		source "$1"
		while IFS= read -r COMP_LINE; do
			COMP_POINT=${#COMP_LINE}
			# The function is the one that bash has been told of.
			function=$(complete -p "${COMP_LINE%% *}") function=${function#*-F } function=${function%% *}
			$function "${COMP_LINE%% *}"
			echo "${COMPREPLY[*]}"
		done`
	out := trial.Command{Path: "bash", Args: []string{"-c", script, "bash", contrib(t, "bash/rl-run")}, Stdin: trial.StdinText(typed()), Dir: dir, Env: env}.Run(t).OK(t)
	got := strings.Split(out, "\n")
	if len(got) < len(lines) {
		t.Fatalf("it has ended early:\n%s", out)
	}
	for i, l := range lines {
		compare(t, l.typed, l.want, strings.Fields(got[i]))
	}
}

func TestFish(t *testing.T) {
	dir, env := begin(t, "fish")
	const script = `
		set fish_complete_path $argv[1]
		while read -l line
			echo (complete -C "$line" | string split -f 1 \t)
		end`
	out := trial.Command{Path: "fish", Args: []string{"--no-config", "-c", script, contrib(t, "fish")}, Stdin: trial.StdinText(typed()), Dir: dir, Env: env}.Run(t).OK(t)
	got := strings.Split(out, "\n")
	if len(got) < len(lines) {
		t.Fatalf("it has ended early:\n%s", out)
	}
	for i, l := range lines {
		compare(t, l.typed, l.want, strings.Fields(got[i]))
	}
}

// TestZsh types into a terminal of zsh's own, and takes down what its completion adds.
func TestZsh(t *testing.T) {
	dir, env := begin(t, "zsh")
	const script = `
		zmodload zsh/zpty
		zpty shell zsh -f -i
		zpty -w shell "PROMPT='TYPE> '; stty -echo; fpath=($1 \$fpath); autoload -Uz compinit; compinit -D -u; bindkey '^I' complete-word
		compadd() {
			local -a added
			if [[ \${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
				builtin compadd -O added \"\$@\"
				(( \$#added )) && print -rn -- \"<\${(j:><:)added}>\"
			fi
			builtin compadd \"\$@\"
		}
		print REA''DY"
		zpty -r shell shown '*READY*TYPE> '
		while IFS= read -r line; do
			zpty -w -n shell $line$'\t\C-Uprint DO""NE\n'
			zpty -r shell shown '*DONE*TYPE> '
			print -r -- ${(V)shown//$'\n'/}
		done
		zpty -d shell`
	out := trial.Command{Path: "zsh", Args: []string{"-f", "-c", script, "zsh", contrib(t, "zsh")}, Stdin: trial.StdinText(typed()), Dir: dir, Env: env, Timeout: 2 * time.Minute}.Run(t).OK(t)
	got := strings.Split(out, "\n")
	if len(got) < len(lines) {
		t.Fatalf("zsh has ended early:\n%s", out)
	}
	added := regexp.MustCompile(`<([^<>]+)>`)
	for i, l := range lines {
		var words []string
		for _, m := range added.FindAllStringSubmatch(got[i], -1) {
			words = append(words, m[1])
		}
		compare(t, l.typed, l.want, words)
	}
}

// typed is the lines, one below the other.
func typed() string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(l.typed + "\n")
	}
	return b.String()
}
