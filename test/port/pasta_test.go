package port

import (
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/port"
)

// TestPastaForwards has pasta forward by itself what PastaArgs tells it.
func TestPastaForwards(t *testing.T) {
	trial.NeedTool(t, "pasta")
	if f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0); err != nil {
		trial.Skip(t, "pasta needs /dev/net/tun: %v", err)
	} else {
		_ = f.Close()
	}
	leak.Watch(t)
	stranger := beyond(t)
	// The numbers come from Bind, which lets go of them before pasta starts.
	list, err := port.Parse([]string{"127.0.0.1::8081", "192.0.2.1::8082", "192.0.2.1::8083/udp"})
	if err != nil {
		t.Fatal(err)
	}
	bound, err := port.Bind(list)
	if err != nil {
		t.Fatal(err)
	}
	port.CloseAll(bound)
	published := make([]port.Publish, len(bound))
	for i, b := range bound {
		published[i] = b.Publish
	}
	args, err := port.PastaArgs(published)
	if err != nil {
		t.Fatal(err)
	}
	host := place{t: t, enter: []string{"env"}}
	// pasta wants a way out, which here leads to nobody.
	host.run("ip", "route", "add", "default", "via", "192.0.2.254")
	t.Cleanup(func() { host.run("ip", "route", "del", "default") })
	c := bare(t)
	words := []string{"pasta", "-q", "-f", "--config-net", "--no-map-gw", "-a", "10.0.2.100", "-n", "24", "-g", "10.0.2.2", "--ns-ifname", "eth0"}
	words = append(append(words, args...), strconv.Itoa(c.pid))
	// Its standard error is full of what syslog does not take.
	host.start(nil, append([]string{"sh", "-c", `exec "$@" 2>/dev/null`, "pasta"}, words...)...)
	for _, number := range []string{"8081", "8082"} {
		c.start(nil, "socat", "TCP-LISTEN:"+number+",fork,reuseaddr", "SYSTEM:echo $SOCAT_PEERADDR")
	}
	c.start(nil, "socat", "UDP-RECVFROM:8083,fork", "SYSTEM:echo $SOCAT_PEERADDR")
	c.await("tcp", 8081)
	c.await("tcp", 8082)
	c.await("udp", 8083)
	ask := func(b port.Bound) string {
		protocol := strings.ToUpper(b.Proto.String())
		// A side that closes while the other sends has pasta of 2023 repeat what was sent.
		return strings.TrimSpace(stranger.run("sh", "-c", `{ echo hello; sleep 1; } | socat -t 2 - "$1" || :`, "ask",
			protocol+":"+at(b.Host.String(), b)))
	}
	for range 100 {
		conn, err := net.Dial("tcp", at("127.0.0.1", bound[0]))
		if err == nil {
			_ = conn.SetDeadline(time.Now().Add(time.Second))
			answer := make([]byte, 100)
			n, _ := conn.Read(answer)
			_ = conn.Close()
			if got := strings.TrimSpace(string(answer[:n])); got == "127.0.0.1" {
				break
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	for _, b := range bound[1:] {
		if got := ask(b); got != "192.0.2.7" {
			t.Errorf("%v: the server sees %q", b, got)
		}
	}
}
