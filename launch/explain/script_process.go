package explain

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rl-run/rl-run/caps"
	"github.com/rl-run/rl-run/launch"
	"github.com/rl-run/rl-run/plan"
)

// join has nsenter stand before what starts init.
func (w *script) join(s plan.Join) {
	w.need("nsenter")
	options := strings.ReplaceAll(string(namespaces(s.Flags)), "--mnt", "--mount")
	w.run("set -- nsenter --target", word(fmt.Sprint(s.PID)), "--preserve-credentials", word(options), "--")
	w.joined = true
}

func (w *script) startInit(s plan.StartInit) {
	if w.joined {
		w.run(`set -- "$@" unshare --fork --keep-caps`, namespaces(s.Flags))
		return
	}
	w.remark("--keep-caps, since a shell that is executed before the ids are mapped would lose its capabilities")
	w.run("set -- unshare --fork --keep-caps", namespaces(s.Flags))
}

// namespaces are the options of unshare(1) for CLONE_NEW* flags.
func namespaces(flags uint64) word {
	var options []string
	for _, name := range plan.Namespaces(flags) {
		if name == "mnt" {
			name = "mount"
		}
		options = append(options, "--"+name)
	}
	return word(strings.Join(options, " "))
}

func (w *script) dieWithParent() {
	switch {
	case w.at.place == starting:
		w.option("--kill-child")
	case w.armed:
		w.remark("(as said before: setpriv does so after all else)")
	case w.parted:
		w.armed = true
		w.option("--pdeathsig KILL")
	default:
		w.jump("setpriv --pdeathsig KILL --")
	}
}

func (w *script) mapIDs(s plan.MapIDs) {
	for _, m := range []struct {
		file, helper string
		extents      []plan.Extent
	}{{"uid_map", s.Helpers[0], s.UID}, {"gid_map", s.Helpers[1], s.GID}} {
		if m.helper != "" {
			w.need(m.helper)
			w.run(quote(m.helper), `"$pid"`, numbers(m.extents...))
		} else {
			w.run(`printf '%s %s %s\n'`, numbers(m.extents...), word(`>"/proc/$pid/`+m.file+`"`))
		}
	}
}

// numbers are the words of an id map.
func numbers(extents ...plan.Extent) word {
	var list []string
	for _, e := range extents {
		list = append(list, fmt.Sprintf("%d %d %d", e.Inside, e.Outside, e.Count))
	}
	return word(strings.Join(list, " "))
}

func (w *script) mapOwnIDs(s plan.MapOwnIDs) {
	w.run("echo deny >/proc/self/setgroups")
	w.run("echo", numbers(s.UID), ">/proc/self/uid_map")
	w.run("echo", numbers(s.GID), ">/proc/self/gid_map")
}

func (w *script) setIDs(s plan.SetIDs) error {
	ids := word(fmt.Sprintf("--reuid %d --regid %d", s.UID, s.GID))
	switch {
	case s.KeepGroups:
		ids += " --keep-groups"
	case len(s.Groups) == 0:
		ids += " --clear-groups"
	default:
		ids += " --groups " + word(strings.Trim(strings.ReplaceAll(fmt.Sprint(s.Groups), " ", ","), "[]"))
	}
	if w.parted {
		w.option(ids)
		return nil
	}
	if s.UID != 0 {
		return &launch.Hinted{
			Err:  errors.New("mount(8) works for uid 0 alone, which the id map lacks"),
			Hint: "--userns=single maps your own id to 0",
		}
	}
	w.keepGroups = s.KeepGroups
	w.remark("(uid 0 gets all capabilities at each exec: none need be inherited any more)")
	w.jump("setpriv --inh-caps=-all --ambient-caps=-all " + ids + " --")
	return nil
}

func (w *script) unshare(s plan.Unshare) {
	keep := word("")
	if slices.Contains(plan.Namespaces(s.Flags), "mnt") {
		keep = " --propagation unchanged"
	}
	w.jump("unshare " + namespaces(s.Flags) + keep + " --")
}

func (w *script) keyring() {
	w.remark("left out where there is no keyctl(1), of keyutils, which says on stderr what it does")
	w.at.only = "command -v keyctl >/dev/null"
	w.jump("keyctl session -")
}

func (w *script) setLimit(s plan.SetLimit) {
	limit := func(n uint64) string {
		if n == 1<<64-1 {
			return "unlimited"
		}
		return fmt.Sprint(n)
	}
	w.need("prlimit")
	w.run(`prlimit --pid "$$"`, quote(fmt.Sprintf("--%s=%s:%s", s.Name, limit(s.Soft), limit(s.Hard))))
}

func (w *script) dropBounding(s plan.DropBounding) {
	all := caps.UpTo(s.Last)
	keep := caps.Set(s.Keep) & all
	switch drop := all &^ keep; {
	case drop == 0:
		w.remark("(there is none to drop)")
	case len(drop.Numbers()) < len(keep.Numbers()):
		w.option("--bounding-set", list("-", uint64(drop)))
	default:
		w.option("--bounding-set", "-all"+list(",+", uint64(keep)))
	}
}

func (w *script) setCaps(s plan.SetCaps) {
	w.remark("(effective and permitted follow from the exec: for uid 0 all that the bounding set has,")
	w.remark("for others what the ambient set has)")
	w.option("--inh-caps", "-all"+list(",+", s.Inheritable))
}

// list writes capabilities as setpriv(1) reads them, each behind a prefix.
func list(prefix string, set uint64) word {
	var b strings.Builder
	for _, n := range caps.Set(set).Names() {
		name := strings.ToLower(strings.TrimPrefix(n, "CAP_"))
		if name[0] >= '0' && name[0] <= '9' { // newer than the names
			name = "cap_" + name
		}
		b.WriteString(prefix + name)
	}
	return word(b.String())
}

// enterGroup says what a script cannot do: a group that systemd has handed over goes
// with the script that is in it.
func (w *script) enterGroup(s plan.EnterGroup) {
	w.remark("left out: the limits. In a control group that is yours they would be")
	for _, f := range s.Files {
		w.remark("  echo %s", string(quote(f.Value))+" >"+f.File)
	}
	w.remark(`  echo "$pid" >cgroup.procs`)
}
