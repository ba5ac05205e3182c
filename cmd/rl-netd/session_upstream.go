package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/usermode"
)

const (
	// upLink is the way out's link in the session; it does not begin as the
	// session's own do.
	upLink = "up0"
	// upTimeout is how long a start of the session waits for its way out.
	upTimeout = 2 * time.Second
	// A driver that ends is started again after 100 ms, or twice what it was
	// before, up to 10 s; one that has run for a minute begins anew.
	restartFirst, restartLast, restartForget = 100 * time.Millisecond, 10 * time.Second, time.Minute
)

// upstream keeps one user-mode driver running: the way out of all networks.
type upstream struct {
	driver usermode.Driver
	netns  *os.File

	mu  sync.Mutex
	pid int // of the driver that runs
}

// startUpstream starts the driver and waits until there is a way out, or for as
// long as that may take. Without one the session is there all the same: its
// networks work, and it says why.
func (s *host) startUpstream() {
	var err error
	if s.link, err = s.upSubnet(); err != nil {
		s.noUpstream(err)
		return
	}
	u, err := newUpstream(s.link)
	if err != nil {
		s.noUpstream(err)
		go s.chooseLater()
		return
	}
	failed := make(chan error, 1)
	go u.reap()
	go u.keep(s, failed)
	for until := time.Now().Add(upTimeout); ; {
		if hasWayOut() {
			s.state.Upstream = u.driver.Kind.String()
			return
		}
		select {
		case err := <-failed:
			s.noUpstream(err)
			return
		default:
		}
		if time.Now().After(until) {
			s.noUpstream(fmt.Errorf("%v is not ready after %v", u.driver.Kind, upTimeout))
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// newUpstream chooses a driver. It is to be called on the first thread, whose net namespace the driver is for.
func newUpstream(link netip.Prefix) (*upstream, error) {
	d, err := chooseDriver(link)
	if err != nil {
		return nil, err
	}
	netns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	return &upstream{driver: d, netns: netns}, nil
}

// chooseLater looks again and again whether there is a driver by now: it may be installed while the session runs.
func (s *host) chooseLater() {
	for {
		time.Sleep(restartLast)
		var u *upstream
		s.on(func() {
			var err error
			if u, err = newUpstream(s.link); err != nil {
				s.tellUpstream("", err.Error())
			}
		})
		if u != nil {
			go u.reap() // not before: to choose, programs are run and waited for
			u.keep(s, nil)
		}
	}
}

// tellUpstream writes down what the way out is from now on, or what the problem with it is: who starts a container reads it, and
// to others a network that leads nowhere would look like one that does.
func (s *host) tellUpstream(kind, problem string) {
	if s.state.Upstream == kind && s.state.Problem == problem {
		return
	}
	s.state.Upstream, s.state.Problem = kind, problem
	if s.forgotten() {
		return // what says that there is a session was taken away
	}
	if err := s.write(); err != nil {
		say("%v", err)
	}
}

func (s *host) noUpstream(err error) {
	s.state.Problem = err.Error()
	say("no way out: %v", err)
}

// upSubnet is a subnet for the link itself: the last of the first pool, for networks
// are made from the first one on.
func (s *host) upSubnet() (netip.Prefix, error) {
	taken := s.taken()
	p, err := chooseSubnet(netip.MustParsePrefix("10.231.255.0/24"), namedBits, taken)
	if err != nil {
		p, err = chooseSubnet(netip.Prefix{}, namedBits, taken)
	}
	return p, err
}

// hasWayOut: there is a default route in the session's net namespace.
func hasWayOut() bool {
	link, err := netlink.LinkByName(upLink)
	if err != nil {
		return false
	}
	routes, err := netlink.RouteList(link, netlink.FAMILY_ALL)
	if err != nil {
		return false
	}
	for _, r := range routes {
		if ones := maskBits(r); ones == 0 {
			return true
		}
	}
	return false
}

func maskBits(r netlink.Route) int {
	if r.Dst == nil {
		return 0
	}
	ones, _ := r.Dst.Mask.Size()
	return ones
}

// keep runs the driver for ever, on a thread in the host's net namespace. It ends
// with the session, which is pid 1 of its pid namespace. The first end is told, and each is written down.
func (u *upstream) keep(s *host, failed chan<- error) {
	pause := restartFirst
	for {
		start := time.Now()
		over := make(chan struct{})
		go u.awaitWayOut(s, over)
		err := u.run()
		close(over)
		if err == nil {
			err = errors.New("it ended")
		}
		err = fmt.Errorf("%v: %w", u.driver.Kind, err)
		select {
		case failed <- err:
		default:
		}
		if time.Since(start) > restartForget {
			pause = restartFirst
		}
		s.on(func() { s.tellUpstream("", err.Error()) })
		say("%v; it is started again in %v", err, pause)
		time.Sleep(pause)
		pause = min(2*pause, restartLast)
	}
}

// awaitWayOut writes down that there is a way out, as soon as there is one, unless the driver is over before.
func (u *upstream) awaitWayOut(s *host, over <-chan struct{}) {
	const first, last = 20 * time.Millisecond, time.Second
	for pause, up := first, false; !up; pause = min(2*pause, last) {
		select {
		case <-over:
			return
		case <-s.over:
			return
		case <-time.After(pause):
		}
		s.on(func() {
			select {
			case <-over: // its end is what is told last
			default:
				if up = hasWayOut(); up {
					s.tellUpstream(u.driver.Kind.String(), "")
				}
			}
		})
	}
}

// run runs the driver once. Here: uid 0 and all capabilities in the session's user
// namespace, the host's net and mount namespaces; the driver confines itself.
func (u *upstream) run() error {
	argv := u.driver.Argv()
	c := exec.Command(argv[0], argv[1:]...)
	// Nobody listens where it tells that it is ready: the route says the same.
	c.Dir, c.Stdin, c.Stdout, c.Stderr = "/", u.netns, nil, os.Stderr
	c.Env = []string{"PATH=" + os.Getenv("PATH")}
	u.mu.Lock()
	err := c.Start()
	if err == nil {
		u.pid = c.Process.Pid
	}
	u.mu.Unlock()
	if err != nil {
		return err
	}
	return c.Wait()
}

// reap waits for processes that lost their parents, as pid 1 must; the driver itself
// is left to run.
func (u *upstream) reap() {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	for range ended {
		u.mu.Lock()
		for {
			var info unix.Siginfo
			err := unix.Waitid(unix.P_ALL, 0, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil)
			pid := waitedPid(&info)
			if err != nil || pid == 0 || pid == u.pid {
				break
			}
			_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
		}
		u.mu.Unlock()
	}
}
