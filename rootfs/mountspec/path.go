package mountspec

import (
	"fmt"
	"path"
	"strings"
)

// target checks a destination and cleans it.
func target(s string) (string, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("no destination")
	case strings.IndexByte(s, 0) >= 0:
		return "", fmt.Errorf("destination %q holds a NUL", s)
	case s[0] != '/':
		return "", fmt.Errorf("destination %q is not absolute", s)
	}
	clean := path.Clean(s)
	if clean == "/" {
		return "", fmt.Errorf("destination %q is the root itself (ROOTFS is what is mounted there)", s)
	}
	return clean, nil
}

// source checks the source of a bind. A bare name would be a volume to docker
// and podman; taking it for a directory here would surprise their users.
func source(s string) (string, error) {
	switch {
	case s == "":
		return "", fmt.Errorf("no source")
	case strings.IndexByte(s, 0) >= 0:
		return "", fmt.Errorf("source %q holds a NUL", s)
	case s == "." || s == "..":
	case !strings.Contains(s, "/"):
		return "", fmt.Errorf("source %q names a volume, and there are none here (a file or directory of that name is %q)", s, "./"+s)
	}
	return s, nil
}
