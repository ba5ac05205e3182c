package main

import (
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/usernet"
	"github.com/rl-run/rl-run/net/veth/rtnl"
)

// run makes the link and prints the answer.
func run(args []string, out io.Writer) error {
	request, err := usernet.ParseArgs(args)
	if err != nil {
		return err
	}
	if !privileged() {
		return refuse(usernet.Privilege)
	}
	uid := uint32(os.Getuid())
	if !belongsTo(target, uid) {
		return refuse(usernet.Namespace)
	}
	// Read anew each time: nothing is kept from call to call. Why it cannot be read is
	// not said; all users can read it themselves and see.
	policy, err := usernet.Load()
	if err != nil {
		return refuse(usernet.Forbidden)
	}
	caller, err := whoCalls(uid)
	if err != nil {
		return refuse(usernet.Forbidden)
	}
	kernel, err := rtnl.Open()
	if err != nil {
		return err
	}
	defer kernel.Close()

	m := maker{kernel: kernel, target: target}
	answer, err := m.link(caller, request, policy)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(out, answer.Format()); err != nil {
		// Nobody has heard of it.
		m.remove(answer.Name)
		return err
	}
	return nil
}

// privileged tells whether CAP_NET_ADMIN is effective. It is not when the capability is
// not set on the file, on a file system mounted nosuid, under no_new_privs, and inside a
// user namespace.
func privileged() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false
	}
	return data[0].Effective&(1<<unix.CAP_NET_ADMIN) != 0
}

// maxNames is the largest passwd or group file that is read.
const maxNames = 4 << 20

// whoCalls is the caller as the kernel and the host's files know him.
func whoCalls(uid uint32) (usernet.Caller, error) {
	c := usernet.Caller{UID: uid, Groups: []uint32{uint32(os.Getgid())}}
	groups, err := unix.Getgroups()
	if err != nil {
		return c, err
	}
	for _, g := range groups {
		c.Groups = append(c.Groups, uint32(g))
	}
	if c.Passwd, err = readNames("/etc/passwd"); err != nil {
		return c, err
	}
	c.Group, err = readNames("/etc/group")
	return c, err
}

// readNames reads a file of the host; one that is missing has no names.
func readNames(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		if os.IsNotExist(err) {
			return nil, nil
		}
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxNames))
}
