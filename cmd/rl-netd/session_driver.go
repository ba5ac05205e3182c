package main

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os/exec"
	"strconv"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
)

// driver is a program that carries what leaves a net namespace, whose descriptor is
// its third, with sockets of the host.
type driver struct {
	name, path string
	args       []string
}

// namespaceFD is where a driver finds the session's net namespace.
const namespaceFD = "/proc/self/fd/3"

// chooseDriver takes pasta where it is new enough: with --map-host-loopback, of
// 2024, came the repair of uploads that stall. Else slirp4netns, else the older
// pasta.
func chooseDriver(link netip.Prefix) (driver, error) {
	pasta, noPasta := exec.LookPath("pasta")
	if noPasta == nil && pastaIsNew(pasta) {
		return pastaDriver(pasta, link, "--map-host-loopback", "none", "--map-guest-addr", "none"), nil
	}
	if path, err := exec.LookPath("slirp4netns"); err == nil {
		return slirpDriver(path, link), nil
	}
	if noPasta == nil {
		return pastaDriver(pasta, link), nil
	}
	return driver{}, errors.New("neither pasta nor slirp4netns is installed")
}

func pastaIsNew(path string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	help, _ := exec.CommandContext(ctx, path, "--help").CombinedOutput()
	return bytes.Contains(help, []byte("--map-host-loopback"))
}

// pastaDriver forwards no port either way, and answers for no address of the host.
func pastaDriver(path string, link netip.Prefix, more ...string) driver {
	args := []string{
		"--foreground", "--quiet", "--config-net", "--no-map-gw", "--mtu", strconv.Itoa(session.MTU),
		"--ns-ifname", upLink, "-t", "none", "-u", "none", "-T", "none", "-U", "none",
	}
	gateway := link.Addr().Next()
	args = append(args, "--address", gateway.Next().String(), "--netmask", strconv.Itoa(link.Bits()), "--gateway", gateway.String())
	args = append(args, more...)
	return driver{"pasta", path, append(args, "--netns-only", "--netns", namespaceFD)}
}

func slirpDriver(path string, link netip.Prefix) driver {
	return driver{"slirp4netns", path, []string{
		"--configure", "--mtu=" + strconv.Itoa(session.MTU), "--disable-host-loopback", "--disable-dns",
		"--enable-ipv6", "--enable-sandbox", "--enable-seccomp", "--netns-type=path",
		"--cidr=" + link.String(), namespaceFD, upLink,
	}}
}

// waitedPid is si_pid, the first field behind si_signo, si_errno and si_code, at
// the alignment of a pointer.
func waitedPid(info *unix.Siginfo) int {
	const offset = (3*4 + unsafe.Sizeof(uintptr(0)) - 1) &^ (unsafe.Sizeof(uintptr(0)) - 1)
	return int(*(*int32)(unsafe.Add(unsafe.Pointer(info), offset)))
}
