package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// secret is in the environment of rl-run, and nowhere else.
const (
	secretName  = "RLRUN_TEST_SECRET"
	secretValue = "tell-nobody-3141592"
)

// A sighting is something of the launcher that the container could see.
type sighting struct{ Where, What string }

// How often spy looks.
const (
	spyOnce = time.Duration(0)
	spyRace = 3 * time.Millisecond // the static init is there after some hundred microseconds
)

// spy looks at everything that /proc has on process 1, again and again for a while.
func spy(during time.Duration) []sighting {
	seen := []sighting{}
	for start := time.Now(); ; {
		for _, s := range spyAt("/proc/1") {
			if !slices.Contains(seen, s) {
				seen = append(seen, s)
			}
		}
		if time.Since(start) >= during {
			return seen
		}
	}
}

// spyAt looks once. What may not be read or is no longer there tells nothing.
func spyAt(proc string) (seen []sighting) {
	report := func(where, format string, args ...any) {
		what := fmt.Sprintf(format, args...)
		seen = append(seen, sighting{where, what[:min(len(what), 300)]})
	}
	// Not cmdline and comm: they are of the starter until init is replaced, hold nothing that is
	// secret from the container, and cannot be withheld.
	for _, name := range []string{"environ", "auxv", "maps", "smaps", "stack"} {
		text, err := os.ReadFile(filepath.Join(proc, name))
		if err != nil {
			continue
		}
		for _, word := range []string{secretValue, secretName, "/rl-run", "[heap]"} {
			if strings.Contains(string(text), word) {
				report(name, "%q in %q", word, text)
			}
		}
		if name == "environ" && len(text) > 0 {
			report(name, "%q", text)
		}
	}
	if exe, err := os.Readlink(filepath.Join(proc, "exe")); err == nil && !strings.HasPrefix(exe, "/memfd:") {
		report("exe", "it leads to %s", exe)
	}
	if exe, err := os.ReadFile(filepath.Join(proc, "exe")); err == nil && len(exe) > 64<<10 {
		report("exe", "%d bytes can be read", len(exe))
	}
	if f, err := os.OpenFile(filepath.Join(proc, "exe"), os.O_WRONLY, 0); err == nil {
		_ = f.Close()
		report("exe", "it can be written")
	}
	seen = append(seen, spyFiles(proc)...)
	return append(seen, spyMemory(proc)...)
}

// spyFiles looks at the descriptors. The static init reads the command's pid from an eventfd.
func spyFiles(proc string) (seen []sighting) {
	entries, err := os.ReadDir(filepath.Join(proc, "fd"))
	if err != nil {
		return nil
	}
	for _, e := range entries {
		to, err := os.Readlink(filepath.Join(proc, "fd", e.Name()))
		if err == nil && to != "anon_inode:[eventfd]" {
			seen = append(seen, sighting{"fd", to})
		}
	}
	return seen
}

// spyMemory looks for the secret in all the memory that can be read, and at whether memory
// can be read that is no part of the small static init.
func spyMemory(proc string) (seen []sighting) {
	maps, err := os.ReadFile(filepath.Join(proc, "maps"))
	if err != nil || len(maps) == 0 {
		return nil
	}
	mem, err := os.Open(filepath.Join(proc, "mem"))
	if err != nil {
		return nil
	}
	defer mem.Close()
	var total int64
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		if _, err := fmt.Sscanf(line, "%x-%x", &from, &to); err != nil || strings.Contains(line, "[v") {
			continue
		}
		buf := make([]byte, min(to-from, 1<<20))
		n, err := mem.ReadAt(buf, from)
		if err != nil && n == 0 {
			continue
		}
		total += int64(n)
		if strings.Contains(string(buf[:n]), secretValue) {
			seen = append(seen, sighting{"mem", "the secret, in " + strings.TrimSpace(line)})
		}
	}
	if total > 1<<20 {
		seen = append(seen, sighting{"mem", "more than a mebibyte can be read"})
	}
	return seen
}

// keysSeen is what the kernel's keyrings show of a key.
type keysSeen struct {
	Session string // the error of describing the session keyring's key of that name, or its serial number
	User    string // the same for the user keyring
	Read    string // the error of reading the key by its serial number, or its payload
}

// lookKeys looks for the key of the caller, by name and by number.
func lookKeys(serial string) (found keysSeen) {
	search := func(ring int) string {
		id, err := unix.KeyctlSearch(ring, "user", secretName, 0)
		if err != nil {
			return err.Error()
		}
		return fmt.Sprint("found ", id)
	}
	found.Session, found.User = search(unix.KEY_SPEC_SESSION_KEYRING), search(unix.KEY_SPEC_USER_KEYRING)
	var id int
	_, err := fmt.Sscan(serial, &id)
	if err == nil {
		buf := make([]byte, 64)
		var n int
		if n, err = unix.KeyctlBuffer(unix.KEYCTL_READ, id, buf, 0); err == nil {
			found.Read = "read " + string(buf[:n])
			return found
		}
	}
	found.Read = err.Error()
	return found
}

// runWithKeys joins a new session keyring, puts a key into it and into the user keyring, and
// becomes the command, whose argument SERIAL is replaced by the key's number.
func runWithKeys(args []string) error {
	if _, err := unix.KeyctlJoinSessionKeyring("rl-run-test"); err != nil {
		return os.NewSyscallError("keyctl", err)
	}
	id, err := unix.AddKey("user", secretName, []byte(secretValue), unix.KEY_SPEC_SESSION_KEYRING)
	if err != nil {
		return os.NewSyscallError("add_key", err)
	}
	argv := slices.Clone(args)
	for i, a := range argv {
		if a == "SERIAL" {
			argv[i] = fmt.Sprint(id)
		}
	}
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool { return strings.HasPrefix(kv, probeEnv+"=") })
	err = unix.Exec(argv[0], argv, env)
	if errors.Is(err, fs.ErrNotExist) {
		return &os.PathError{Op: "exec", Path: argv[0], Err: err}
	}
	return os.NewSyscallError("execve", err)
}
