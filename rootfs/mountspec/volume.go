package mountspec

import (
	"fmt"
	"strings"
)

const volumeOptions = "ro, rw, exec, noexec, nosuid, nodev, bind, rbind, private, rprivate, slave, rslave or nocopy"

// ParseVolume reads the value of -v, SRC:DST[:OPTION[,OPTION...]]. As with
// docker no word escapes a colon: a path that holds one needs --mount. The
// error is an *[Error].
func ParseVolume(value string) (Bind, error) {
	m, err := parseVolume(value)
	if err != nil {
		return Bind{}, reject("-v", value, "%v", err)
	}
	return m, nil
}

func parseVolume(value string) (Bind, error) {
	src, rest, ok := strings.Cut(value, ":")
	if !ok {
		return Bind{}, fmt.Errorf("no destination (expected SRC:DST[:OPTIONS])")
	}
	dst, options, hasOptions := strings.Cut(rest, ":")
	if strings.Contains(options, ":") {
		return Bind{}, fmt.Errorf("too many colons (expected SRC:DST[:OPTIONS]; a path with a colon needs --mount)")
	}

	var b Bind
	var err error
	if b.Source, err = source(src); err != nil {
		return Bind{}, err
	}
	if b.Target, err = target(dst); err != nil {
		return Bind{}, err
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
			return Bind{}, err
		}
	}
	return b, nil
}
