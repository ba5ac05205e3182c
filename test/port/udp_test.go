package port

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
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

// A thousand clients of one port each get the answers to what they have sent, and nobody else's.
func TestManyClients(t *testing.T) {
	trial.NeedTool(t, "perl")
	leak.Watch(t)
	c := container(t)
	c.start(nil, "perl", "-MSocket", "-e", `socket(S, AF_INET, SOCK_DGRAM, 0) && bind(S, pack_sockaddr_in(53, INADDR_ANY)) or die "$!\n";
		while (defined($from = recv(S, $b, 9000, 0))) { send(S, "answer to $b", 0, $from) }`)
	c.await("udp", 53)
	bound, _ := c.publish("127.0.0.1::53/udp")
	const each = 2
	n := trial.Mass(1000)
	var group sync.WaitGroup
	for i := range n {
		conn, err := net.Dial("udp", at("127.0.0.1", bound[0]))
		if err != nil {
			t.Fatal(err)
		}
		group.Go(func() {
			defer func() { _ = conn.Close() }()
			b := make([]byte, 9000)
			for turn := range each {
				sent := fmt.Sprintf("%d of %d", turn, i)
				got := 0
				// The kernel drops what a socket has no room for, as it does between machines.
				for try := 0; try < 100 && got == 0; try++ {
					if _, err := conn.Write([]byte(sent)); err != nil {
						t.Errorf("client %d: %v", i, err)
						return
					}
					_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
					for {
						n, err := conn.Read(b)
						if got = n; err != nil || string(b[:got]) == "answer to "+sent {
							break
						}
						// What was sent again may be answered twice.
						if !strings.HasSuffix(string(b[:got]), fmt.Sprintf(" of %d", i)) {
							t.Errorf("client %d got %q", i, b[:got])
							return
						}
					}
				}
				if got == 0 {
					t.Errorf("client %d has no answer to %q", i, sent)
					return
				}
			}
		})
	}
	group.Wait()
}
