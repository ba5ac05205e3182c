package mountspec

import "strings"

const volumeOptions = "ro, rw, exec, noexec, nosuid, nodev, bind, rbind, private, rprivate, slave, rslave or nocopy"

// ParseVolume reads the value of -v, SRC:DST[:OPTION[,OPTION...]]. As with
// docker no word escapes a colon: a path that holds one needs --mount. The
// error is an *[Error].
func ParseVolume(value string) (Bind, error) {
	fail := func(format string, args ...any) (Bind, error) {
		return Bind{}, reject("-v", value, format, args...)
	}
	src, rest, ok := strings.Cut(value, ":")
	if !ok {
		return fail("no destination (expected SRC:DST[:OPTIONS])")
	}
	dst, options, hasOptions := strings.Cut(rest, ":")
	if strings.Contains(options, ":") {
		return fail("too many colons (expected SRC:DST[:OPTIONS]; a path with a colon needs --mount)")
	}

	var b Bind
	var err error
	if b.Source, err = source(src); err != nil {
		return fail("%v", err)
	}
	if b.Target, err = target(dst); err != nil {
		return fail("%v", err)
	}
	if !hasOptions {
		return b, nil
	}
	var made answers
	for option := range strings.SplitSeq(options, ",") {
		known, err := b.set(&made, option)
		if !known {
			name, _, _ := strings.Cut(option, "=")
			if refusal(name) == "" {
				name = option
			}
			err = unexpected(name, volumeOptions)
		}
		if err != nil {
			return fail("%v", err)
		}
	}
	return b, nil
}
