package launch

import (
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/net/usermode"
	"github.com/rl-run/rl-run/plan"
	"github.com/rl-run/rl-run/userns"
)

// identity resolves who the command is, and its environment.
func (c *compiler) identity() (err error) {
	t, s := c.host.Rootfs, c.spec
	who := s.User
	if who.User == "" && s.Userns.Mode == userns.ModeKeepID {
		who.User = fmt.Sprint(c.host.Caller.UID)
		who.Group = fmt.Sprint(c.host.Caller.GID)
	}
	if c.User, err = who.Resolve(t.Passwd, t.Group); err != nil {
		return fmt.Errorf("-u %s: %w", joinNonEmpty(who.User, who.Group), err)
	}
	if c.User, err = c.User.AddGroups(t.Group, s.GroupAdd...); err != nil {
		return fmt.Errorf("--group-add: %w", err)
	}
	if who.User == "" { // with a map that lacks 0 there is no root to be
		c.User.UID, c.User.GID = c.base[0], c.base[1]
	}
	ids := append([]uint32{c.User.GID}, c.User.Groups...)
	if _, ok := c.IDs.Maps.HostUID(c.User.UID); !ok {
		return c.unmapped("user", c.User.UID)
	}
	for _, id := range ids {
		if _, ok := c.IDs.Maps.HostGID(id); !ok {
			return c.unmapped("group", id)
		}
	}
	if c.IDs.GroupsStay && len(s.GroupAdd) > 0 {
		return c.lacksIDs(errors.New("--group-add: with a map of a single id the kernel refuses setgroups"))
	}
	if c.IDs.GroupsStay {
		c.User.Groups = nil
		c.keptGroups()
	}
	c.Env = c.environment()
	return nil
}

func (c *compiler) unmapped(kind string, id uint32) error {
	return c.lacksIDs(fmt.Errorf("-u: %s %d has no id in the container's map", kind, id))
}

func joinNonEmpty(a, b string) string {
	if b == "" {
		return a
	}
	return a + ":" + b
}

// hostname is --hostname, else --name, else the base name of ROOTFS, as a name
// that the kernel and DNS take: at most 63 letters, digits, dots and hyphens.
func hostname(s *Spec, tree string) string {
	for _, from := range []string{s.Hostname, s.Name, filepath.Base(tree)} {
		name := strings.Map(func(r rune) rune {
			switch {
			case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '.':
				return r
			}
			return '-'
		}, from)
		name = strings.Trim(name[:min(len(name), 63)], "-.")
		if name != "" {
			return name
		}
	}
	return "container"
}

// defaultPath is where commands are looked for, as in podman and docker.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// proxies are passed from the caller, as podman does.
var proxies = [...]string{
	"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy",
	"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY",
}

func (c *compiler) environment() []string {
	var env variables
	if c.spec.EnvHost {
		for _, kv := range c.host.Environ {
			env.set(kv)
		}
	}
	host := variables(c.host.Environ)
	for _, k := range proxies {
		if v, ok := host.get(k); ok {
			env.set(k + "=" + v)
		}
	}
	env.set("PATH=" + defaultPath)
	env.set("HOME=" + c.User.Home)
	if c.User.Name != "" {
		env.set("USER=" + c.User.Name)
	}
	if term, ok := host.get("TERM"); ok && c.spec.Terminal {
		if !c.host.Rootfs.TermInfo {
			term = "xterm"
		}
		env.set("TERM=" + term)
	}
	if c.host.Rootfs.UTF8 {
		env.set("LANG=C.UTF-8")
	}
	name := c.spec.Hostname
	if c.own(unix.CLONE_NEWUTS) {
		name = c.name()
	}
	if name != "" {
		env.set("HOSTNAME=" + name)
	}
	env.set("container=rl-run")
	if c.spec.FakeRoot {
		env.set("APT_CONFIG=" + aptConfig)
	}
	if c.host.Listen.Count > 0 {
		for _, kv := range c.host.Listen.Env(c.commandPID()) {
			env.set(kv)
		}
	}
	env.add(c.spec.Env, host)
	return env
}

// add sets variables as -e gives them: K=V, or K for the value of the caller's.
func (v *variables) add(list []string, host variables) {
	for _, kv := range list {
		if !strings.Contains(kv, "=") {
			value, ok := host.get(kv)
			if !ok {
				continue
			}
			kv += "=" + value
		}
		v.set(kv)
	}
}

func (v *variables) unset(k string) {
	if i := v.index(k); i >= 0 {
		*v = slices.Delete(*v, i, i+1)
	}
}

// variables is an environment, each name once, in the order of the first
// setting.
type variables []string

func (v *variables) set(kv string) {
	k, _, _ := strings.Cut(kv, "=")
	if i := v.index(k); i >= 0 {
		(*v)[i] = kv
		return
	}
	*v = append(*v, kv)
}

func (v variables) index(k string) int {
	return slices.IndexFunc(v, func(kv string) bool {
		return len(kv) > len(k) && kv[len(k)] == '=' && kv[:len(k)] == k
	})
}

// value is that of a variable, empty where it is not set.
func (v variables) value(k string) string {
	s, _ := v.get(k)
	return s
}

func (v variables) has(k string) bool { return v.index(k) >= 0 }

func (v variables) get(k string) (string, bool) {
	if i := v.index(k); i >= 0 {
		return v[i][len(k)+1:], true
	}
	return "", false
}

func (c *compiler) argv() []string {
	if len(c.spec.Command) > 0 {
		return c.spec.Command
	}
	if c.User.Shell != "" {
		return []string{c.User.Shell}
	}
	return []string{"/bin/sh"}
}

// candidates are the paths at which the command is looked for, in the PATH of
// its own environment.
func (c *compiler) candidates() []string {
	name := c.argv()[0]
	if name == "" || strings.Contains(name, "/") {
		return []string{name} // an empty name is ENOENT, execvp(3)
	}
	search, _ := variables(c.Env).get("PATH")
	var paths []string
	for dir := range strings.SplitSeq(search, ":") {
		if dir == "" {
			dir = "." // execvp(3)
		}
		paths = append(paths, path.Join(dir, name))
	}
	return paths
}

// files provides /etc/hosts, /etc/hostname and /etc/resolv.conf, unless the user
// mounts something else there.
func (c *compiler) files() error {
	name := c.Hostname
	if name == "" {
		name = c.spec.Hostname
	}
	c.Hosts, c.Resolv = c.hosts(name), c.resolv()
	for _, f := range []struct{ name, content string }{
		{"hosts", c.Hosts},
		{"hostname", name + "\n"},
		{"resolv.conf", c.Resolv},
	} {
		target := "/etc/" + f.name
		if c.mountedOver(target) || f.name == "hostname" && name == "" {
			continue
		}
		if t := c.host.Targets[target]; t.Exists && t.Dir && !t.Hidden {
			return fmt.Errorf("mount own %s: it is a directory in %s", target, c.spec.Rootfs)
		} else if !t.Exists && c.unwritable() && len(t.Missing) == 0 {
			continue // /etc cannot be written: its owner has no id here
		}
		c.mountPoint(target, false)
		c.inInit(plan.ProvideFile{Target: target, Name: f.name, Content: f.content}, "")
	}
	return nil
}

func (c *compiler) mountedOver(target string) bool {
	for _, m := range c.spec.Mounts {
		if p := m.MountPoint(); target == p || strings.HasPrefix(target, p+"/") {
			return true
		}
	}
	return false
}

func (c *compiler) hosts(name string) string {
	var b strings.Builder
	if shared := c.sharedHosts(); len(shared) > 0 {
		b.Write(shared)
		if !strings.HasSuffix(b.String(), "\n") {
			b.WriteByte('\n')
		}
	} else {
		b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	}
	if own := c.ownAddress(name); own != "" {
		fmt.Fprintf(&b, "%s\t%s\n", own, name)
	}
	for _, a := range c.hostAddresses() {
		fmt.Fprintf(&b, "%s\t%s\n", a, usermode.HostName)
	}
	for _, h := range c.spec.AddHost {
		host, ip, ok := strings.Cut(h, ":")
		if ip == HostGateway {
			for _, a := range c.hostAddresses() {
				fmt.Fprintf(&b, "%s\t%s\n", a, host)
			}
		} else if ok {
			fmt.Fprintf(&b, "%s\t%s\n", strings.Trim(ip, "[]"), host)
		}
	}
	return b.String()
}

// ownAddress is what the container's /etc/hosts has for its own name; "" where it has none. On a network that knows the name it
// stands for the address there, for the container as for its neighbours: a server that listens at its own name is to be reached.
func (c *compiler) ownAddress(name string) string {
	switch {
	case name == "", name == "localhost":
		return ""
	case !c.onBridge(), c.nesting.network.Isolated, !slices.Contains(c.spec.registered(), name):
		return "127.0.1.1"
	case c.spec.IP.IsValid():
		return c.spec.IP.String()
	case len(c.spec.DNS) > 0: // the name server that knows it is not asked
		return "127.0.1.1"
	}
	return ""
}

// resolv has the name servers that the container reaches, and the host's search list and options unless there are others.
func (c *compiler) resolv() string {
	var b strings.Builder
	servers, own := c.nameServers()
	for _, a := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", a)
	}
	search, options := c.spec.DNSSearch, c.spec.DNSOption
	around := c.host.Resolv
	if of := c.netOwner(); of != nil && len(of.Resolv) > 0 {
		around = of.Resolv // whose name servers are those that are reached
	}
	for line := range strings.Lines(string(around)) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0][0] == '#' || fields[0][0] == ';' {
			continue
		}
		replaced := false
		switch fields[0] {
		case "nameserver":
			replaced = own || c.spec.Net != NetHost && (strings.HasPrefix(fields[1], "127.") || fields[1] == "::1") // is out of reach
		case "search", "domain":
			replaced = len(search) > 0
		case "options":
			replaced = len(options) > 0
		}
		if !replaced {
			b.WriteString(strings.Join(fields, " ") + "\n")
		}
	}
	if len(search) > 0 && !slices.Equal(search, []string{"."}) {
		b.WriteString("search " + strings.Join(search, " ") + "\n")
	}
	if len(options) > 0 {
		b.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return b.String()
}

// nameServers are those that take the place of the host's, where own is set.
func (c *compiler) nameServers() (list []string, own bool) {
	switch {
	case len(c.spec.DNS) > 0:
		return c.spec.DNS, true
	case c.hasDriver():
		for _, a := range c.driver.Servers() {
			list = append(list, a.String())
		}
		return list, true
	case c.onBridge():
		return []string{c.nesting.network.Gateway().String()}, true // which knows the network's containers
	}
	return nil, false
}

// foreign names the owner of ROOTFS who has no id in the container, such as the host's root; "" where both have one.
func (c *compiler) foreign() string {
	tree := c.host.Rootfs
	if _, mapped := c.IDs.Maps.InsideUID(tree.UID); !mapped {
		return fmt.Sprintf("uid %d", tree.UID)
	}
	if _, mapped := c.IDs.Maps.InsideGID(tree.GID); !mapped {
		return fmt.Sprintf("gid %d", tree.GID)
	}
	return ""
}

// unwritable reports whether ROOTFS cannot be written to as its owner has no id. With --rw a group without one takes nothing from the owner.
func (c *compiler) unwritable() bool {
	if c.spec.RootMode != RootWritable {
		return c.foreign() != ""
	}
	_, mapped := c.IDs.Maps.InsideUID(c.host.Rootfs.UID)
	return !mapped
}
