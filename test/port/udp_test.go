package port

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestDatagrams(t *testing.T) {
	trial.NeedTool(t, "socat")
	leak.Watch(t)
	c := container(t)
	// One process answers all, so that it shows whether clients are told apart.
	c.start(nil, "socat", "-T", "20", "UDP6-RECVFROM:53,ipv6only=0,fork", "EXEC:cat")
	c.await("udp", 53)
	bound, _ := c.publish(":53/udp")
	random := rand.NewChaCha8([32]byte{2})
	for _, to := range []string{"127.0.0.1", "::1", "192.0.2.1", "192.0.2.9", "2001:db8::1"} {
		// A connected socket hears the address that it wrote to, and no other.
		conn := dial(t, "udp", at(to, bound[0]))
		for _, size := range []int{1, 512, 8000} {
			sent, got := make([]byte, size), make([]byte, 9000)
			_, _ = random.Read(sent)
			if _, err := conn.Write(sent); err != nil {
				t.Fatal(err)
			}
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			if n, err := conn.Read(got); err != nil || !bytes.Equal(got[:n], sent) {
				t.Errorf("%s, %d bytes: %d came back, %v", to, size, n, err)
			}
		}
	}
	stranger := beyond(t)
	for _, to := range []string{"UDP4:192.0.2.1", "UDP4:192.0.2.9", "UDP6:[2001:db8::1]"} {
		got := stranger.run("sh", "-c", `echo hello | socat -t 20 - "$1,readbytes=6"`, "ask", to+strings.TrimPrefix(at("", bound[0]), ""))
		if got != "hello\n" {
			t.Errorf("to %s: %q", to, got)
		}
	}
}
