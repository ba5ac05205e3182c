package plan

import (
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/guard"
)

// BindPorts has the launcher open the sockets of published ports, before there is
// a container that nobody could reach. Ports are as -p has them.
type BindPorts struct{ Ports []string }

// SendNetNS hands the command's net namespace to the launcher (SIOCGSKNS, Linux
// 4.9): that takes no path below /proc, and no pid that may become another's.
type SendNetNS struct{}

// SendUserNS hands init's user namespace to the launcher, by its own /proc/self/ns: helpers join it before there is a
// net namespace.
type SendUserNS struct{}

// GiveNetNS has the launcher give the net namespace to a helper that waits for it.
type GiveNetNS struct{ To Actor }

// SetNetSysctl sets a sysctl of the command's net namespace, a path below
// /proc/sys/net. Where /proc does not let it, the kernel's default stays.
type SetNetSysctl struct{ Name, Value string }

// StartHelper has the launcher start the network driver as soon as there is a user namespace, or the forwarder of
// ports as soon as there is a net namespace. Init goes on meanwhile.
type StartHelper struct{ Which Actor }

// MakeVeth has a program that may do so make a pair of links, one in the host's
// net namespace and one in the container's. Init goes on meanwhile. LXC says that
// the program is lxc-user-nic; Args are those of rl-veth.
type MakeVeth struct {
	Helper string
	LXC    bool
	Args   []string
}

// AwaitNetwork waits until what was started for the network is ready.
type AwaitNetwork struct{}

// ConfigureLink gives the link From the name by which the container knows it, its
// addresses and default routes, and sets it up, in one message. Addresses may be
// known only once the link has been made: Child.SetLink has them.
type ConfigureLink struct{ From, To string }

// JoinContainer has a helper join the container's user namespace, which owns the
// net namespace, and with Net that one, too.
type JoinContainer struct{ Net bool }

// NewPIDNamespace has a helper go on as process 1 of a new pid namespace, whose
// end ends all that it has started.
type NewPIDNamespace struct{}

// ExecGuard replaces a helper by the static guard (package guard), which starts
// Argv, starts it again when it ends, and ends with the container. With Follow it starts Argv
// again, too, when that file has another text.
//
// A driver has the net namespace as descriptor 0, for which the guard waits (GiveNetNS), says on descriptor 1 that it is
// ready, and complains to descriptor 2. A forwarder has the sockets of Options.Sockets
// under their own numbers, and further arguments that say where each leads.
type ExecGuard struct {
	Argv   []string
	Follow string
}

// Kind implements Step.
func (BindPorts) Kind() Kind { return KindBindPorts }

// Kind implements Step.
func (SendNetNS) Kind() Kind { return KindSendNetNS }

// Kind implements Step.
func (SendUserNS) Kind() Kind { return KindSendUserNS }

// Kind implements Step.
func (GiveNetNS) Kind() Kind { return KindGiveNetNS }

// Kind implements Step.
func (SetNetSysctl) Kind() Kind { return KindSysctl }

// Kind implements Step.
func (StartHelper) Kind() Kind { return KindStartHelper }

// Kind implements Step.
func (MakeVeth) Kind() Kind { return KindMakeVeth }

// Kind implements Step.
func (AwaitNetwork) Kind() Kind { return KindAwaitNetwork }

// Kind implements Step.
func (ConfigureLink) Kind() Kind { return KindLink }

// Kind implements Step.
func (JoinContainer) Kind() Kind { return KindJoinContainer }

// Kind implements Step.
func (NewPIDNamespace) Kind() Kind { return KindNewPIDNamespace }

// Kind implements Step.
func (ExecGuard) Kind() Kind { return KindExecGuard }

func (s BindPorts) String() string     { return "bind on the host: " + strings.Join(s.Ports, ", ") }
func (SendNetNS) String() string       { return "hand the net namespace to the launcher" }
func (SendUserNS) String() string      { return "hand the user namespace to the launcher" }
func (s GiveNetNS) String() string     { return fmt.Sprintf("give the net namespace to the %s", s.To) }
func (s SetNetSysctl) String() string  { return fmt.Sprintf("set net/%s to %s", s.Name, s.Value) }
func (s StartHelper) String() string   { return fmt.Sprintf("start the %s", s.Which) }
func (AwaitNetwork) String() string    { return "wait for the network" }
func (s ConfigureLink) String() string { return fmt.Sprintf("set link %s up as %s", s.From, s.To) }
func (NewPIDNamespace) String() string { return "start process 1 of a new pid namespace" }

func (s ExecGuard) String() string {
	what := "exec a guard"
	if s.Follow != "" {
		what += " that follows " + s.Follow + ","
	}
	return what + " of " + strings.Join(s.Argv, " ")
}

func (s MakeVeth) String() string {
	return strings.Join(append([]string{"make a veth pair by", s.Helper}, s.Args...), " ")
}

func (s JoinContainer) String() string {
	if s.Net {
		return "join the container's user and net namespaces"
	}
	return "join the container's user namespace"
}

// Beside reports whether the launcher takes a step while init goes on: it waits for
// a namespace of the container then, not for init.
func Beside(s Step) bool {
	switch s.(type) {
	case StartHelper, GiveNetNS, MakeVeth, MakePort:
		return true
	}
	return false
}

func (SendNetNS) lower(p *program) {
	m := p.fdMessage()
	fd := p.keep(p.call(unix.SYS_SOCKET, lit(unix.AF_INET), lit(unix.SOCK_DGRAM|unix.SOCK_CLOEXEC), lit(0)))
	ns := p.call(unix.SYS_IOCTL, fd, lit(unix.SIOCGSKNS), lit(0)).keepIn(address(&m.fd))
	p.call(unix.SYS_SENDMSG, lit(p.control), lit(address(&m.msg)), lit(unix.MSG_NOSIGNAL))
	p.close(ns)
	p.close(fd)
}

func (SendUserNS) lower(p *program) {
	m := p.fdMessage()
	ns := p.call(unix.SYS_OPENAT, cwd, p.str("/proc/self/ns/user"), lit(unix.O_RDONLY|unix.O_CLOEXEC)).keepIn(address(&m.fd))
	p.call(unix.SYS_SENDMSG, lit(p.control), lit(address(&m.msg)), lit(unix.MSG_NOSIGNAL))
	p.close(ns)
}

func (s SetNetSysctl) lower(p *program) {
	refused := []unix.Errno{unix.ENOENT, unix.EACCES, unix.EPERM, unix.EROFS, unix.ENOTDIR, unix.ELOOP}
	o := p.call(unix.SYS_OPENAT, cwd, p.str("/proc/sys/net/"+s.Name), lit(unix.O_WRONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW))
	fd := p.keep(o.skips(2, refused...))
	p.call(unix.SYS_WRITE, fd, p.str(s.Value), lit(len(s.Value))).skips(0, unix.EINVAL, unix.EACCES, unix.EPERM)
	p.close(fd)
}

func (s JoinContainer) lower(p *program) {
	p.call(unix.SYS_SETNS, at(p.memory.userns), lit(unix.CLONE_NEWUSER))
	if s.Net {
		p.call(unix.SYS_SETNS, at(p.memory.netns), lit(unix.CLONE_NEWNET))
	}
}

func (NewPIDNamespace) lower(p *program) {
	args := (*cloneArgs)(p.a.alloc(int(unsafe.Sizeof(cloneArgs{}))))
	p.clones(args, unix.CLONE_VM|unix.CLONE_NEWPID, unix.SIGCHLD)
	clone := p.clone(args, lit(0), p.newMachine())
	clone.out = p.guard
	p.exit()
	clone.arg[2] = address(p.next()) // where the child begins
}

func (s ExecGuard) lower(p *program) {
	n := &p.network
	argv, o := s.Argv, guard.Options{Owner: guard.None, Container: containerFD, Follow: s.Follow, Given: guard.None}
	p.call(unix.SYS_CLOSE_RANGE, lit(3), lit(allFDs), lit(unix.CLOSE_RANGE_CLOEXEC))
	if p.forwards {
		null := p.keep(p.call(unix.SYS_OPENAT, cwd, p.str("/dev/null"), lit(unix.O_RDWR|unix.O_CLOEXEC)))
		for fd := range 3 {
			p.call(unix.SYS_DUP3, null, lit(fd), lit(0))
		}
		for _, fd := range n.sockets {
			p.call(unix.SYS_FCNTL, lit(fd), lit(unix.F_SETFD), lit(0))
		}
		argv = append(slices.Clip(argv), n.forward...)
	} else {
		o.Given, o.Once = 0, []int{1}
		p.call(unix.SYS_DUP3, lit(p.control), lit(0), lit(0))
		p.call(unix.SYS_DUP3, lit(n.ready), lit(1), lit(0))
		p.call(unix.SYS_DUP3, lit(n.messages), lit(2), lit(0))
	}
	p.call(unix.SYS_DUP3, at(p.memory.pidfd), lit(containerFD), lit(0))
	p.call(unix.SYS_EXECVEAT, lit(n.guard), p.str(""), lit(p.a.strs(guard.Argv(o, argv))), lit(p.a.strs(nil)), lit(unix.AT_EMPTY_PATH))
}

// containerFD is the guard's pidfd of init. What a helper needs lies above it until
// the guard is executed.
const containerFD = 3
