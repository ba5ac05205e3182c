package veth

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/rl-run/rl-run/net/usernet"
)

// Hint is the line that helps against an error of Find or Make, "" where none is known.
// user is the caller's name. rl-veth itself does not tell why it refuses; but its policy
// is there for all to read, and so it is read here, as the caller.
func Hint(err error, c usernet.Caller, user string, r usernet.Request) string {
	if missing, ok := errors.AsType[*MissingError](err); ok {
		if missing.Unable != "" {
			return "run: sudo setcap cap_net_admin=ep " + missing.Unable
		}
		return "run: sudo make install-veth; or install lxc and add a line to /etc/lxc/lxc-usernet: " + user + " veth " + lxcBridge + " 10"
	}
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		return ""
	}
	if failure.Helper.LXC {
		return "see lxc-usernet(5) for what it grants, or run: sudo make install-veth"
	}
	refusal, ok := errors.AsType[*usernet.Refusal](failure.Err)
	if !ok {
		return ""
	}
	switch refusal.Word {
	case usernet.Privilege:
		return "it works neither under no_new_privs nor on a file system mounted nosuid nor inside a user namespace; else run: sudo setcap cap_net_admin=ep " + failure.Helper.Path
	case usernet.Forbidden:
		policy, err := usernet.Load()
		return forbidden(policy, err, c, user, r)
	case usernet.Filter:
		return "run: sudo modprobe -a sch_ingress cls_bpf"
	case usernet.Clash:
		return "choose another net by --veth-host and --veth-ip, or another pool in " + path
	case usernet.Quota:
		return "end a container, or have the count raised in " + path
	case usernet.Usage, usernet.Namespace, usernet.Taken, usernet.Exists, usernet.System:
	}
	return ""
}

const path = usernet.Directory + "/" + usernet.File

// forbidden says what the policy lacks.
func forbidden(p usernet.Policy, err error, c usernet.Caller, user string, r usernet.Request) string {
	bridge := r.Bridge
	if bridge == "" {
		bridge = usernet.PointToPoint
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no " + path + "; sudo make install-veth writes an example"
	case errors.Is(err, usernet.ErrUntrusted):
		return fmt.Sprintf("run: sudo chown root: %[1]s %[2]s && sudo chmod go-w %[1]s %[2]s", usernet.Directory, path)
	case err != nil:
		return err.Error()
	case p.Count(c, bridge) == 0:
		return "add a line to " + path + ": " + user + " veth " + bridge + " 10"
	}
	var pools []string
	for _, pool := range p.Pools {
		if pool.Bridge == bridge {
			pools = append(pools, pool.Subnet.String())
		}
	}
	if len(pools) == 0 {
		return "add a line to " + path + ": pool " + bridge + " 192.168.47.0/24"
	}
	if r.Bridge != "" {
		return "is there a bridge " + r.Bridge + "? its links may have addresses of " + strings.Join(pools, " ") + " and at most its MTU"
	}
	return "links may have addresses of " + strings.Join(pools, " ")
}
