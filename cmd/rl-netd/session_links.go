package main

import (
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/session"
)

// watchLinks follows the links of the net namespace: the names of a container go
// when its link does. It is called on the first thread, which makes the socket.
func (s *host) watchLinks() error {
	updates := make(chan netlink.LinkUpdate, 64)
	lost := make(chan struct{}, 1)
	done := make(chan struct{})
	err := netlink.LinkSubscribeWithOptions(updates, done, netlink.LinkSubscribeOptions{
		ErrorCallback: func(err error) {
			say("follow links: %v", err)
			select {
			case lost <- struct{}{}:
			default:
			}
		},
	})
	if err != nil {
		return err
	}
	go func() {
		for {
			select {
			case u, more := <-updates:
				if !more {
					// Too many at once for the socket: begin again, and catch up.
					close(done)
					time.Sleep(100 * time.Millisecond)
					s.on(func() {
						if err := s.watchLinks(); err != nil {
							say("follow links: %v", err)
						}
						s.releaseAll()
					})
					return
				}
				if u.Header.Type == unix.RTM_DELLINK {
					s.on(func() { s.release(u.Attrs().Name) })
				}
			case <-lost:
				s.on(s.releaseAll)
			}
		}
	}()
	return nil
}

// release forgets the names at a port whose link is gone.
func (s *host) release(link string) {
	index, number, ok := session.ParsePortName(link)
	if !ok {
		return
	}
	for name, b := range s.networks {
		if b.network.Index == index {
			s.dir.Release(name, number, func() bool {
				_, err := netlink.LinkByName(link)
				return err == nil
			})
		}
	}
}

// releaseAll forgets all names without a link.
func (s *host) releaseAll() {
	for name, b := range s.networks {
		names, err := s.dir.Names(name)
		if err != nil {
			continue
		}
		for number := range names {
			link := session.PortName(b.network.Index, number)
			if _, err := netlink.LinkByName(link); err != nil {
				s.release(link)
			}
		}
	}
}
