package session

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// MaxNames is how many bytes the names of one container may take in NamesText.
const MaxNames = 4096

// Free chooses a port that nobody seems to have: the first one from a start that
// seed picks, with no file of names. It is a guess that saves a message that
// fails; the kernel decides when the link is made, and answers EEXIST where
// another was faster: then the next is Next's. ok is false when all are taken.
//
// An address is not used again as long as others are free that come behind it:
// seed should move on from start to start, as a pid does.
func (n Network) Free(d Dir, seed int) (p Port, ok bool) {
	taken := map[int]bool{}
	if entries, err := os.ReadDir(d.path("names", n.Name)); err == nil {
		for _, e := range entries {
			if number, err := strconv.Atoi(e.Name()); err == nil {
				taken[number] = true
			}
		}
	}
	ports := n.Ports()
	for i := range ports {
		if number := firstPort + (seed+i)%ports; !taken[number] {
			return n.Port(number), true
		}
	}
	return Port{}, false
}

// Next is the port behind p; behind the last comes the first.
func (n Network) Next(p Port) Port {
	return n.Port(firstPort + (p.Number-firstPort+1)%n.Ports())
}

// Register tells the network's name server the names of the container at port p.
// It must be called for each link that was made, and by the one who made it: with
// no name it clears what an earlier container at the same address has left. It
// takes effect at once. The session removes the file when the link is gone.
func (n Network) Register(d Dir, p Port, names ...string) error {
	dir := d.path("names", n.Name)
	path := dir + "/" + strconv.Itoa(p.Number)
	text := NamesText(names...)
	err := writeFile(path, text)
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(dir, 0o700); err == nil {
			err = writeFile(path, text)
		}
	}
	return err
}

// NamesText is what Register writes, at once, into the file NamesDir/NUMBER.
func NamesText(names ...string) []byte { return []byte(strings.Join(names, "\n") + "\n") }

// Names reads who lives at which port of a network: the names that were
// registered, by the port's number. A port without a name has an empty list.
func (d Dir) Names(network string) (map[int][]string, error) {
	dir := d.path("names", network)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	out := make(map[int][]string, len(entries))
	for _, e := range entries {
		number, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if names, ok := readNames(dir + "/" + e.Name()); ok {
			out[number] = names
		}
	}
	return out, err
}

func readNames(path string) ([]string, bool) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, false // removed since
	}
	defer func() { _ = unix.Close(fd) }()
	text := make([]byte, MaxNames)
	n, err := unix.Read(fd, text)
	if err != nil {
		return nil, false
	}
	return strings.Fields(string(text[:n])), true
}

// NamesDir is the directory in which Register writes, for who watches it.
func (d Dir) NamesDir(network string) string { return d.path("names", network) }

// Release removes the names at a port whose link is gone, with what was left by one that was killed before it had written them. live
// tells whether a link of that name exists; it is asked after the file was taken away, so that
// the file of a new container at the same address is put back.
//
// The order holds because a container's link is made before its names are
// written: names that were taken by mistake belong to a link that live sees.
func (d Dir) Release(network string, number int, live func() bool) {
	dir := d.path("names", network)
	path := dir + "/" + strconv.Itoa(number)
	aside := dir + "/.gone-" + strconv.Itoa(number)
	named := unix.Rename(path, aside) == nil
	unnamed, _ := filepath.Glob(dir + "/." + strconv.Itoa(number) + ".*") // the pattern is not malformed
	switch {
	case !named && len(unnamed) == 0:
		return
	case !live():
		for _, temporary := range unnamed {
			_ = os.Remove(temporary)
		}
	case named:
		// NOREPLACE: names written since then are the newer ones.
		_ = unix.Renameat2(unix.AT_FDCWD, aside, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE)
	}
	_ = os.Remove(aside)
}
