package container

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// MaxName is the longest name in bytes: a name is the container's hostname too, which is one label of a domain name.
const MaxName = 63

// NameError is a name that no container can have.
type NameError struct{ Name string }

func (e *NameError) Error() string {
	return fmt.Sprintf("name %q: expected a letter or digit, then letters, digits, dots, hyphens and underscores, at most %d in all", e.Name, MaxName)
}

// CheckName checks a name: [a-zA-Z0-9][a-zA-Z0-9_.-]* of at most MaxName bytes. The error is a *NameError.
func CheckName(name string) error {
	if len(name) == 0 || len(name) > MaxName || !alphanumeric(name[0]) {
		return &NameError{name}
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return &NameError{name}
		}
	}
	return nil
}

func alphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func nameByte(c byte) bool { return alphanumeric(c) || c == '_' || c == '.' || c == '-' }

// derived makes a name for a container that was given none: the base name of its ROOTFS and four letters by chance.
func derived(base string) string {
	const letters = 4
	var b strings.Builder
	for i := range len(base) {
		c := base[i]
		switch {
		case b.Len() == MaxName-letters-1:
		case nameByte(c) && (b.Len() > 0 || alphanumeric(c)):
			b.WriteByte(c)
		case b.Len() > 0:
			b.WriteByte('-')
		}
	}
	name := strings.TrimRight(b.String(), "-_.")
	if name == "" {
		name = "container"
	}
	tail := make([]byte, letters)
	for i := range tail {
		tail[i] = 'a' + byte(rand.IntN(26))
	}
	return name + "-" + string(tail)
}
