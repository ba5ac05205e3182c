package mountspec

import "fmt"

// choice is a question that an option answers; each may be answered once.
type choice int

const (
	choiceType choice = iota
	choiceSource
	choiceTarget
	choiceReadOnly
	choiceExec
	choiceSUID
	choiceDev
	choicePropagation
	choiceRecursive
	choiceCopy
	choiceSize
	choiceInodes
	choiceMode
	choiceUID
	choiceGID
	choices // their number
)

// answers remembers the option by which each choice was made.
type answers [choices]string

// take makes a choice, or says that it was made before.
func (a *answers) take(c choice, option string) error {
	switch first := a[c]; first {
	case "":
		a[c] = option
		return nil
	case option:
		return fmt.Errorf("option %q is given twice", option)
	default:
		return fmt.Errorf("options %q and %q are both given", first, option)
	}
}

// set applies an option that needs no value: those of -v, which podman
// takes in --mount as well. known is false for any other word.
func (b *Bind) set(a *answers, option string) (known bool, err error) {
	switch option {
	case "ro", "rw":
		b.ReadOnly = option == "ro"
		return true, a.take(choiceReadOnly, option)
	case "exec", "noexec":
		b.NoExec = option == "noexec"
		return true, a.take(choiceExec, option)
	case "nosuid":
		return true, a.take(choiceSUID, option)
	case "nodev":
		return true, a.take(choiceDev, option)
	case "nocopy":
		return true, a.take(choiceCopy, option)
	case "bind", "rbind":
		b.NonRecursive = option == "bind"
		return true, a.take(choiceRecursive, option)
	case "private", "rprivate", "slave", "rslave":
		b.Propagation = propagation(option)
		return true, a.take(choicePropagation, option)
	}
	return false, nil
}

// propagation reads a name that set has checked. private and rprivate are one:
// the mounts below a bind are private already.
func propagation(name string) Propagation {
	switch name {
	case "slave":
		return Slave
	case "rslave":
		return RSlave
	}
	return Private
}

// refusal is the reason why an option of docker or podman cannot be honoured,
// or "".
func refusal(option string) string {
	switch option {
	case "suid":
		return "mounts are always nosuid"
	case "dev":
		return "mounts are always nodev (devices are given with --device)"
	case "shared", "rshared":
		return "a mount made in a user namespace does not reach the host (slave and rslave work)"
	case "unbindable", "runbindable":
		return "it is not offered (private is the default)"
	case "z", "Z", "relabel":
		return "files are not relabelled for SELinux (chcon does it beforehand)"
	case "U", "chown":
		return "owners of the host's files are not changed (rl-unshare chown does it beforehand)"
	case "O", "upperdir", "workdir":
		return "no overlay is laid over a bind (ro protects the source)"
	case "idmap":
		return "an idmapped mount needs privilege over the source's file system"
	case "consistent", "cached", "delegated", "consistency":
		return "a bind on linux is always consistent"
	case "copy":
		return "nothing is copied into a bind"
	case "bind-create-src":
		return "the source must exist"
	case "tmpcopyup":
		return "a tmpfs starts empty"
	case "noswap":
		return "the kernel allows it outside user namespaces only"
	case "huge":
		return "huge pages make a tmpfs of small files slower"
	}
	return ""
}

// unexpected is the error for an option that was not taken.
func unexpected(option, expected string) error {
	if why := refusal(option); why != "" {
		return fmt.Errorf("option %q cannot be honoured: %s", option, why)
	}
	if option == "" {
		return fmt.Errorf("empty option (expected %s)", expected)
	}
	return fmt.Errorf("unknown option %q (expected %s)", option, expected)
}
