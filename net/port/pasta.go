package port

import "fmt"

// PastaArgs are the arguments that have pasta forward the ports itself. They name what
// is to be forwarded and nothing else: without them pasta looks for ports that are
// open in the container and forwards all of these. Nothing is forwarded from the container to
// ports of the host.
//
// pasta binds the ports when it starts and cannot tell which free one it got, so every HostPort
// has a number here: [Bind], which also names the owner of a busy one, and close the
// sockets before pasta starts. An address of the loopback interface reaches the
// container's loopback, any other its outward address, with the client's address kept. Old
// releases (that of Debian 12 is one) refuse one number on two addresses.
func PastaArgs(list []Publish) ([]string, error) {
	args := make([]string, 0, 8+2*len(list))
	var given [2]bool
	for _, p := range list {
		if p.HostPort == 0 {
			return nil, &Error{"-p", p.String(), "pasta cannot tell which free port it took (expected a number)"}
		}
		flag := "-t"
		if p.Proto == UDP {
			flag = "-u"
		}
		given[p.Proto] = true
		spec := row(p.HostPort, p.Count) + ":" + row(p.Port, p.Count)
		if p.Host.IsValid() {
			host := p.Host.WithZone("").String()
			if zone := p.Host.Zone(); zone != "" {
				host += "%" + zone
			}
			spec = fmt.Sprintf("%s/%s", host, spec)
		}
		args = append(args, flag, spec)
	}
	for proto, flag := range []string{TCP: "-t", UDP: "-u"} {
		if !given[proto] {
			args = append(args, flag, "none")
		}
	}
	return append(args, "-T", "none", "-U", "none"), nil
}
