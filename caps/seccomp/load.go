package seccomp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// maxFile is the size up to which a profile is read, 1 MiB; moby's default one
// has 18 KiB.
const maxFile = 1 << 20

// Load reads a profile in JSON from a file of at most 1 MiB. The file may be
// hostile: it is opened without waiting, and has to be a regular one. All
// errors are *os.PathError and name the file; one in the profile itself says
// where it is.
func Load(path string) (*Profile, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("not a regular file")}
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, &os.PathError{Op: "read", Path: path, Err: errors.New("larger than 1 MiB")}
	}
	p, err := Parse(data)
	if err != nil {
		return nil, &os.PathError{Op: "parse", Path: path, Err: err}
	}
	return p, nil
}

// Parse reads a profile in JSON. NewerENOSYS is set, as it is in runc for every
// profile. The error says where in data it is: the line, or the name and place of
// a rule.
func Parse(data []byte) (*Profile, error) {
	p := &Profile{NewerENOSYS: true}
	if err := json.Unmarshal(data, p); err != nil {
		return nil, locate(data, err)
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	return p, nil
}

// locate puts the number of the line in front of an error of encoding/json, and
// says a wrong type in the terms of JSON.
func locate(data []byte, err error) error {
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("line %d: %w", line(data, syntax.Offset), err)
	}
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		where := kind.Field
		if where == "" {
			where = "profile"
		}
		return fmt.Errorf("line %d: %s: not %s", line(data, kind.Offset), where, jsonType(kind.Type.Kind().String()))
	}
	return err
}

// line is the number, from 1, of the line that the offset is in.
func line(data []byte, offset int64) int {
	offset = min(max(offset, 0), int64(len(data)))
	return 1 + bytes.Count(data[:offset], []byte("\n"))
}

// jsonType is what JSON calls a kind of Go.
func jsonType(kind string) string {
	switch kind {
	case "struct", "ptr":
		return "an object"
	case "slice":
		return "a list"
	case "string":
		return "a string"
	}
	return "a number in range"
}
