package mountspec

import (
	"fmt"
	"strconv"
	"strings"
)

// DefaultMode is the mode of a new tmpfs, that of /tmp.
const DefaultMode = 0o1777

// Tmpfs is an empty file system in memory, tmpfs(5), with nosuid and nodev. The
// parsers make it noexec unless exec is asked for, as docker and podman state.
type Tmpfs struct {
	Target   string
	Size     uint64 // limit in bytes; 0 leaves the kernel's, half of memory
	Inodes   uint64 // limit; 0 leaves the kernel's, half of the pages of memory
	Mode     uint32 // of its root directory, 0 to 07777
	UID      uint32 // owner of its root directory, as seen inside
	GID      uint32
	ReadOnly bool
	NoExec   bool
}

// MountPoint returns Target.
func (t Tmpfs) MountPoint() string { return t.Target }

// Flag returns "--mount", which can say every Tmpfs; --tmpfs has no way to
// write a colon.
func (t Tmpfs) Flag() string { return "--mount" }

// String is the value for --mount.
func (t Tmpfs) String() string {
	fields := []string{"type=tmpfs", "destination=" + t.Target}
	number := func(key string, n uint64) {
		if n != 0 {
			fields = append(fields, key+"="+strconv.FormatUint(n, 10))
		}
	}
	number("tmpfs-size", t.Size)
	number("tmpfs-inodes", t.Inodes)
	if t.Mode != DefaultMode {
		fields = append(fields, "tmpfs-mode="+strconv.FormatUint(uint64(t.Mode), 8))
	}
	number("tmpfs-uid", uint64(t.UID))
	number("tmpfs-gid", uint64(t.GID))
	if t.ReadOnly {
		fields = append(fields, "readonly")
	}
	if !t.NoExec {
		fields = append(fields, "exec")
	}
	return joinFields(fields)
}

const tmpfsOptions = "ro, rw, exec, noexec, nosuid, nodev, notmpcopyup, size=, nr_inodes=, mode=, uid= or gid="

// ParseTmpfs reads the value of --tmpfs, DST[:OPTION[,OPTION...]]. The error is
// an *[Error].
func ParseTmpfs(value string) (Tmpfs, error) {
	m, err := parseTmpfs(value)
	if err != nil {
		return Tmpfs{}, reject("--tmpfs", value, "%v", err)
	}
	return m, nil
}

func parseTmpfs(value string) (Tmpfs, error) {
	dst, options, hasOptions := strings.Cut(value, ":")
	if strings.Contains(options, ":") {
		return Tmpfs{}, fmt.Errorf("too many colons (expected DST[:OPTIONS]; a path with a colon needs --mount)")
	}
	t := Tmpfs{Mode: DefaultMode, NoExec: true}
	var err error
	if t.Target, err = target(dst); err != nil {
		return Tmpfs{}, err
	}
	if !hasOptions {
		return t, nil
	}
	var made answers
	for option := range strings.SplitSeq(options, ",") {
		key, val, hasValue := strings.Cut(option, "=")
		var known bool
		if hasValue {
			known, err = t.setValue(&made, key, key, val)
		} else {
			known, err = t.set(&made, option)
		}
		if !known {
			if refusal(key) == "" {
				key = option
			}
			err = unexpected(key, tmpfsOptions)
		}
		if err != nil {
			return Tmpfs{}, err
		}
	}
	return t, nil
}

// set applies an option that needs no value.
func (t *Tmpfs) set(a *answers, option string) (known bool, err error) {
	switch option {
	case "ro", "rw":
		t.ReadOnly = option == "ro"
		return true, a.take(choiceReadOnly, option)
	case "exec", "noexec":
		t.NoExec = option == "noexec"
		return true, a.take(choiceExec, option)
	case "nosuid":
		return true, a.take(choiceSUID, option)
	case "nodev":
		return true, a.take(choiceDev, option)
	case "notmpcopyup":
		return true, a.take(choiceCopy, option)
	}
	return false, nil
}

// setValue applies an option that has a value. option is how it was written,
// name how mount(8) calls it: "size", "nr_inodes", "mode", "uid" or "gid".
func (t *Tmpfs) setValue(a *answers, option, name, val string) (known bool, err error) {
	var c choice
	switch name {
	case "size":
		c = choiceSize
		t.Size, err = ParseSize(val)
	case "nr_inodes":
		c = choiceInodes
		if t.Inodes, err = ParseSize(val); err != nil {
			err = fmt.Errorf("malformed %s %q (expected a number above 0, as in 5000 or 10k)", option, val)
		}
	case "mode":
		c = choiceMode
		t.Mode, err = parseMode(val)
	case "uid":
		c = choiceUID
		t.UID, err = parseID(option, val)
	case "gid":
		c = choiceGID
		t.GID, err = parseID(option, val)
	default:
		return false, nil
	}
	if err != nil {
		return true, err
	}
	return true, a.take(c, option)
}

func parseMode(s string) (uint32, error) {
	mode, err := strconv.ParseUint(s, 8, 32)
	if err != nil || mode > 0o7777 {
		return 0, fmt.Errorf("malformed mode %q (expected an octal number from 0 to 7777)", s)
	}
	return uint32(mode), nil
}

func parseID(option, s string) (uint32, error) {
	const maxID = 1<<32 - 2 // 1<<32-1 is "no id"
	id, err := strconv.ParseUint(s, 10, 32)
	if err != nil || id > maxID {
		return 0, fmt.Errorf("malformed %s %q (expected a number from 0 to %d)", option, s, uint32(maxID))
	}
	return uint32(id), nil
}
