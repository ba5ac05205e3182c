package explain

import (
	"maps"
	"slices"
	"strings"
)

// assemble puts the script together.
func (w *script) assemble(notes []string) string {
	w.uses["die"] = true
	var b strings.Builder
	b.WriteString(head)
	if len(notes) > 0 {
		b.WriteString("#\n")
	}
	for _, n := range notes {
		b.WriteString("# note: " + visible(n) + "\n")
	}
	if w.secrets {
		b.WriteString("#\n# It holds the values of all variables: keep it to yourself.\n")
	}
	b.WriteString("\n# shellcheck disable=SC2016,SC2317 # words are quoted; the parts are called by name\nset -eu\nPATH=${PATH-/usr/bin:/bin}:/usr/sbin:/sbin\n\n")
	for _, h := range helpers {
		if w.uses[h.name] {
			b.WriteString(h.text + "\n")
		}
	}
	b.WriteString(w.lastShell() + "\n")
	for _, p := range w.parts {
		if p.place != afterwards {
			b.WriteString(p.name + "() {\n" + p.body.String() + "}\n\n")
		}
	}
	b.WriteString(w.cleanup() + "\n")
	b.WriteString(w.outside() + "\n")
	b.WriteString(w.main())
	return b.String()
}

func (w *script) has(where place) bool {
	return slices.ContainsFunc(w.parts, func(p *part) bool { return p.place == where })
}

// lastShell is the text of the shell that becomes the command.
func (w *script) lastShell() string {
	var restore strings.Builder
	for _, name := range w.restore {
		restore.WriteString("export " + name + "=\"$1\"\nshift\n")
	}
	return strings.Replace(last, "RESTORE\n", restore.String(), 1)
}

// cleanup is what is done outside after the end.
func (w *script) cleanup() string {
	var b strings.Builder
	b.WriteString("cleanup() {\n\trm \"$dir/up\" \"$dir/down\"\n\trmdir \"$dir/stage\" \"$dir\"\n")
	for _, p := range w.parts {
		if p.place == afterwards && p.body.Len() > 0 {
			b.WriteString("\n" + p.body.String())
		}
	}
	return b.String() + "}\n"
}

// outside is the half of the script that stays outside, beside the container.
func (w *script) outside() string {
	var b strings.Builder
	b.WriteString(`# outside is done beside the container, by what has a name in the tree and in the
# namespaces of the host. The two halves talk over two pipes: up comes from inside,
# down goes there. The end of up is the end of all inside.
outside() {
	exec 3<"$dir/up" 4>"$dir/down"
	trap 'set +e; exec 4>&-; cat <&3 >/dev/null; cleanup' EXIT
	read -r pid <&3
`)
	if w.has(mapping) {
		b.WriteString("\tmap\n")
	}
	if w.uses["user namespace"] {
		b.WriteString("\texec 6<\"/proc/$pid/ns/user\"\n")
	}
	b.WriteString("\techo >&4\n\tread -r _ <&3\n")
	if w.has(pivoting) {
		b.WriteString("\tpivot\n")
	}
	b.WriteString("\techo >&4\n}\n")
	return b.String()
}

// main begins with the part that the arguments name, or at the begin.
func (w *script) main() string {
	tools := []string{"unshare", "setpriv", "mount", "umount"}
	for _, name := range slices.Sorted(maps.Keys(w.tools)) {
		tools = append(tools, string(quote(name)))
	}
	var b strings.Builder
	b.WriteString(`case ${1-} in
from_*)
	trap 'exit 125' EXIT
	part=$1 dir=$2
	shift 2
	# shellcheck disable=SC2034 # not every plan uses both
	stage=$dir/stage root=$dir/stage/root
	cd /
	"$part" "$@"
	;;
*)
	for tool in ` + strings.Join(tools, " ") + `; do
		command -v "$tool" >/dev/null || die "find $tool: no such program"
	done
	grep -qs '^# A container, built by hand' -- "$0" || die 'this script starts itself again: it must be a file'
	case $0 in
	/*) self=$0 ;;
	*) self=$PWD/$0 ;;
	esac
`)
	if w.has(before) {
		b.WriteString("\tprepare\n")
	}
	b.WriteString(`	dir=$(mktemp -d)
	dir=$(cd -- "$dir" && pwd -P) # as /proc/self/mountinfo has it
	mkdir "$dir/stage"
	mkfifo "$dir/up" "$dir/down"
	outside &
	code=0
	start || code=$?
	wait
	exit "$code"
	;;
esac
`)
	return b.String()
}
