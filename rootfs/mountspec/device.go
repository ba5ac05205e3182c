package mountspec

import (
	"fmt"
	"strings"
)

// Device is a device node of the host that appears in the container. It is
// bound, because only real root makes device nodes, and it can be read and
// written as far as its own mode allows: no narrower right can be given, for a
// read-only bind does not keep a device from being written to, and the device
// list of control groups needs privilege.
type Device struct {
	Source string // absolute and cleaned
	Target string // Source unless given
}

// MountPoint returns Target.
func (d Device) MountPoint() string { return d.Target }

// Flag returns "--device".
func (d Device) Flag() string { return "--device" }

// String is the value for --device.
func (d Device) String() string {
	if d.Source == d.Target {
		return d.Source
	}
	return d.Source + ":" + d.Target
}

// ParseDevice reads the value of --device, SRC[:DST][:rwm]. Without DST it is
// at SRC inside as well. The permissions may be rw or rwm: mknod, which m
// stands for, is what a user namespace never has. The error is an *[Error].
func ParseDevice(value string) (Device, error) {
	m, err := parseDevice(value)
	if err != nil {
		return Device{}, reject("--device", value, "%v", err)
	}
	return m, nil
}

func parseDevice(value string) (Device, error) {
	parts := strings.Split(value, ":")
	if len(parts) > 3 {
		return Device{}, fmt.Errorf("too many colons (expected SRC[:DST][:rwm])")
	}
	if !strings.HasPrefix(parts[0], "/") {
		if strings.Contains(parts[0], "=") {
			return Device{}, fmt.Errorf("names of the container device interface are not known here (expected a path such as /dev/X)")
		}
		return Device{}, fmt.Errorf("source %q is not absolute (expected a path such as /dev/X)", parts[0])
	}
	src, err := target(parts[0])
	if err != nil {
		return Device{}, fmt.Errorf("source %q is no device", parts[0])
	}
	d := Device{Source: src, Target: src}

	parts = parts[1:]
	permissions, given := "", false
	switch len(parts) {
	case 2:
		permissions, given = parts[1], true
		parts = parts[:1]
	case 1:
		if parts[0] != "" && strings.Trim(parts[0], "rwm") == "" {
			permissions, given = parts[0], true
			parts = nil
		}
	}
	if given {
		if err := checkPermissions(permissions); err != nil {
			return Device{}, err
		}
	}
	if len(parts) == 1 {
		if d.Target, err = target(parts[0]); err != nil {
			return Device{}, err
		}
	}
	return d, nil
}

func checkPermissions(s string) error {
	for i, p := range []byte(s) {
		if strings.IndexByte("rwm", p) < 0 || strings.IndexByte(s[:i], p) >= 0 {
			return fmt.Errorf("malformed permissions %q (expected rw or rwm)", s)
		}
	}
	switch {
	case s == "":
		return fmt.Errorf("no permissions after the last colon (expected rw or rwm)")
	case !strings.Contains(s, "r"), !strings.Contains(s, "w"):
		return fmt.Errorf("permissions %q cannot be honoured: without privilege a device is given as a whole (expected rw or rwm)", s)
	}
	return nil
}
