package cgroup

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/godbus/dbus/v5"
)

// The service manager on D-Bus (org.freedesktop.systemd1(5)).
const (
	managerName = "org.freedesktop.systemd1"
	managerPath = "/org/freedesktop/systemd1"
	managerType = managerName + ".Manager"
)

// property is what a unit is made with.
type property struct {
	Name  string
	Value dbus.Variant
}

// auxiliary is a unit to be made beside; there are none.
type auxiliary struct {
	Name       string
	Properties []property
}

// connect calls the manager's bus.
func connect(ctx context.Context, address string, uid int) (*dbus.Conn, dbus.BusObject, error) {
	conn, err := dbus.Dial(address, dbus.WithContext(ctx))
	if err != nil {
		return nil, nil, fmt.Errorf("connect to systemd: %w", err)
	}
	if err = conn.Auth([]dbus.Auth{dbus.AuthExternal(strconv.Itoa(uid))}); err == nil {
		err = conn.Hello()
	}
	if err != nil {
		_ = conn.Close()
		return nil, nil, fmt.Errorf("connect to systemd at %s: %w", address, err)
	}
	return conn, conn.Object(managerName, managerPath), nil
}

// startScope has systemd make the scope with both processes in it, and waits until it
// is done.
func (p *Placement) startScope(ctx context.Context, init, parent int) error {
	conn, manager, err := connect(ctx, p.Bus, p.UID)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	fail := func(err error) error {
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("systemd has not answered for %v", Patience)
		}
		return fmt.Errorf("start %s: %w", p.Unit, err)
	}

	signals := make(chan *dbus.Signal, 64)
	conn.Signal(signals)
	if err := conn.AddMatchSignalContext(ctx, dbus.WithMatchSender(managerName),
		dbus.WithMatchInterface(managerType), dbus.WithMatchMember("JobRemoved")); err != nil {
		return fail(err)
	}
	// Without a subscriber systemd sends no signals.
	if err := manager.CallWithContext(ctx, managerType+".Subscribe", 0).Err; err != nil {
		return fail(err)
	}
	job, err := p.orderScope(ctx, manager, init, parent)
	if err != nil {
		return fail(err)
	}
	for {
		select {
		case <-ctx.Done():
			return fail(ctx.Err())
		case s, open := <-signals:
			var (
				id           uint32
				path         dbus.ObjectPath
				unit, result string
			)
			switch {
			case !open:
				return fail(errors.New("systemd has hung up"))
			case s.Name != managerType+".JobRemoved" || dbus.Store(s.Body, &id, &path, &unit, &result) != nil || path != job:
			case result != "done":
				return fail(errors.New("systemd says " + result))
			default:
				return nil
			}
		}
	}
}

// orderScope orders the scope. A scope of the same name may still be going away: then
// it tries again.
func (p *Placement) orderScope(ctx context.Context, manager dbus.BusObject, init, parent int) (job dbus.ObjectPath, err error) {
	properties := []property{
		{"Description", dbus.MakeVariant("container " + p.Name)},
		{"PIDs", dbus.MakeVariant([]uint32{uint32(init), uint32(parent)})},
		// The groups in the scope are the caller's, with all controllers.
		{"Delegate", dbus.MakeVariant(true)},
		// Else a scope with a process that was killed for lack of memory would stay.
		{"CollectMode", dbus.MakeVariant("inactive-or-failed")},
		// systemd would limit the processes of each unit to a share of the machine's.
		{"TasksMax", dbus.MakeVariant(uint64(math.MaxUint64))},
	}
	for {
		call := manager.CallWithContext(ctx, managerType+".StartTransientUnit", 0, p.Unit, "fail", properties, []auxiliary{})
		if err = call.Store(&job); err == nil {
			return job, nil
		}
		if e, ok := errors.AsType[dbus.Error](err); !ok || e.Name != managerName+".UnitExists" {
			return "", err
		}
		select {
		case <-ctx.Done():
			return "", err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// attach has systemd move a process into a group of the scope. The scope's owner may
// not do so itself: to the process's own group it is a stranger.
func (g *Group) attach(ctx context.Context, pid int) error {
	conn, manager, err := connect(ctx, g.Bus, g.UID)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	err = manager.CallWithContext(ctx, managerType+".AttachProcessesToUnit", 0, g.Unit, "/"+container, []uint32{uint32(pid)}).Err
	if err != nil {
		return fmt.Errorf("enter %s: %w", g.Unit, err)
	}
	return nil
}
