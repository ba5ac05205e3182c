package mountspec

import (
	"fmt"
	"strconv"
	"strings"
)

const (
	bindKeys = "source, destination, readonly, rw, exec, noexec, nosuid, nodev, bind-propagation, bind-recursive or bind-nonrecursive"
	tmpKeys  = "destination, readonly, rw, exec, noexec, nosuid, nodev, tmpfs-size, tmpfs-inodes, tmpfs-mode, tmpfs-uid or tmpfs-gid"
)

// ParseMount reads the value of --mount, KEY=VALUE[,KEY=VALUE...] as
// comma-separated values with quotes, and returns a [Bind] or a [Tmpfs]. Keys
// may be in upper case, as with docker. The error is an *[Error].
func ParseMount(value string) (Mount, error) {
	m, err := parseMount(value)
	if err != nil {
		return nil, reject("--mount", value, "%v", err)
	}
	return m, nil
}

func parseMount(value string) (Mount, error) {
	if value == "" {
		return nil, fmt.Errorf("no fields (expected type=bind or type=tmpfs and more)")
	}
	fields, err := splitFields(value)
	if err != nil {
		return nil, err
	}
	// The type may come last, and it decides what the other keys mean.
	var made answers
	kind, others := "", fields[:0]
	for _, field := range fields {
		key, val, _ := strings.Cut(field, "=")
		if strings.ToLower(key) != "type" {
			others = append(others, field)
			continue
		}
		if err := made.take(choiceType, "type"); err != nil {
			return nil, err
		}
		kind = strings.ToLower(val)
	}
	switch kind {
	case "bind":
		return parseBindFields(others)
	case "tmpfs":
		return parseTmpfsFields(others)
	case "":
		return nil, fmt.Errorf("no type (expected type=bind or type=tmpfs)")
	case "volume":
		return nil, fmt.Errorf("there are no volumes here (expected type=bind or type=tmpfs)")
	}
	return nil, fmt.Errorf("unknown type %q (expected bind or tmpfs)", kind)
}

func parseBindFields(fields []string) (Mount, error) {
	var b Bind
	var made answers
	submountsToo := false // bind-recursive=readonly was given
	for _, field := range fields {
		key, val, hasValue := strings.Cut(field, "=")
		key = strings.ToLower(key)
		var err error
		switch key {
		case "source", "src":
			if err = made.take(choiceSource, key); err == nil {
				b.Source, err = source(val)
			}
		case "destination", "dst", "target":
			if err = made.take(choiceTarget, key); err == nil {
				b.Target, err = target(val)
			}
		case "bind-propagation":
			err = b.setPropagation(&made, val)
		case "bind-recursive":
			submountsToo = val == "readonly"
			err = b.setRecursive(&made, val)
		case "bind-nonrecursive":
			if b.NonRecursive, err = parseBool(key, val, hasValue); err == nil {
				err = made.take(choiceRecursive, key)
			}
		default:
			err = setSwitch(func(word string) (bool, error) { return b.set(&made, word) }, field, bindKeys)
		}
		if err != nil {
			return nil, err
		}
	}
	switch {
	case b.Source == "":
		return nil, fmt.Errorf("no source (expected source=PATH)")
	case b.Target == "":
		return nil, fmt.Errorf("no destination (expected destination=PATH)")
	case submountsToo && !b.ReadOnly:
		return nil, fmt.Errorf("bind-recursive=readonly is given without readonly")
	}
	return b, nil
}

func (b *Bind) setPropagation(made *answers, val string) error {
	switch val {
	case "private", "rprivate", "slave", "rslave":
		b.Propagation = propagation(val)
		return made.take(choicePropagation, "bind-propagation")
	}
	if why := refusal(val); why != "" {
		return fmt.Errorf("bind-propagation %q cannot be honoured: %s", val, why)
	}
	return fmt.Errorf("unknown bind-propagation %q (expected private, rprivate, slave or rslave)", val)
}

func (b *Bind) setRecursive(made *answers, val string) error {
	switch val {
	case "enabled", "readonly":
	case "disabled":
		b.NonRecursive = true
	case "writable":
		return fmt.Errorf(`bind-recursive "writable" cannot be honoured: readonly holds for the mounts below as well`)
	default:
		return fmt.Errorf("unknown bind-recursive %q (expected enabled, disabled or readonly)", val)
	}
	return made.take(choiceRecursive, "bind-recursive")
}

func parseTmpfsFields(fields []string) (Mount, error) {
	t := Tmpfs{Mode: DefaultMode, NoExec: true}
	var made answers
	for _, field := range fields {
		key, val, hasValue := strings.Cut(field, "=")
		key = strings.ToLower(key)
		var err error
		switch key {
		case "source", "src":
			err = fmt.Errorf("a tmpfs has no source")
		case "destination", "dst", "target":
			if err = made.take(choiceTarget, key); err == nil {
				t.Target, err = target(val)
			}
		case "tmpfs-size", "tmpfs-inodes", "tmpfs-mode", "tmpfs-uid", "tmpfs-gid":
			name := strings.TrimPrefix(key, "tmpfs-")
			if name == "inodes" {
				name = "nr_inodes"
			}
			if err = fmt.Errorf("%s has no value", key); hasValue {
				_, err = t.setValue(&made, key, name, val)
			}
		case "notmpcopyup":
			_, err = t.set(&made, key)
		default:
			err = setSwitch(func(word string) (bool, error) { return t.set(&made, word) }, field, tmpKeys)
		}
		if err != nil {
			return nil, err
		}
	}
	if t.Target == "" {
		return nil, fmt.Errorf("no destination (expected destination=PATH)")
	}
	return t, nil
}

// setSwitch applies a key that stands alone or has a truth value, KEY[=BOOL],
// through set, which knows the words of -v and --tmpfs.
func setSwitch(set func(word string) (known bool, err error), field, expected string) error {
	key, val, hasValue := strings.Cut(field, "=")
	key = strings.ToLower(key)
	var yes, no string
	switch key {
	case "ro", "readonly":
		yes, no = "ro", "rw"
	case "rw":
		yes, no = "rw", "ro"
	case "exec":
		yes, no = "exec", "noexec"
	case "noexec":
		yes, no = "noexec", "exec"
	case "suid":
		yes, no = "suid", "nosuid"
	case "nosuid":
		yes, no = "nosuid", "suid"
	case "dev":
		yes, no = "dev", "nodev"
	case "nodev":
		yes, no = "nodev", "dev"
	default:
		if refusal(key) != "" {
			return unexpected(key, expected)
		}
		return unexpected(field, expected)
	}
	on, err := parseBool(key, val, hasValue)
	if err != nil {
		return err
	}
	word := no
	if on {
		word = yes
	}
	known, err := set(word)
	if !known {
		return unexpected(word, expected)
	}
	return err
}

// parseBool reads the value of a key that means true when it stands alone.
func parseBool(key, val string, given bool) (bool, error) {
	if !given {
		return true, nil
	}
	on, err := strconv.ParseBool(val)
	if err != nil {
		return false, fmt.Errorf("malformed %s %q (expected true or false)", key, val)
	}
	return on, nil
}
