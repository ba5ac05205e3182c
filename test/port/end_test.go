package port

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/net/port"
)

// TestNothingListensAfterTheEnd has the forwarder below a pid namespace of its own, as rl-run
// has it, and ends that.
func TestNothingListensAfterTheEnd(t *testing.T) {
	leak.Watch(t)
	c := container(t)
	c.nginx("80")
	c.await("tcp", 80)
	bound, guard := c.publishWith([]string{"unshare", "--pid", "--fork", "--kill-child", "--"}, ":80", ":80/udp")
	conn := dial(t, "tcp", at("127.0.0.1", bound[0]))
	fmt.Fprint(conn, "GET /who HTTP/1.0\r\n\r\n")
	if got := string(readAll(t, conn)); !strings.Contains(got, "10.0.2.100") {
		t.Fatalf("not served: %q", got)
	}
	open := dial(t, "tcp", at("127.0.0.1", bound[0]))
	end(guard)
	if _, err := open.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("an open connection: %v", err)
	}
	for range 100 {
		if refused(at("127.0.0.1", bound[0])) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	// The same numbers can be had again within a second, both protocols, all addresses.
	var values []string
	for _, b := range bound {
		values = append(values, b.String())
	}
	again, err := port.Parse(values)
	if err != nil {
		t.Fatal(err)
	}
	// A process that ends closes one socket after the other.
	list, err := port.Bind(again)
	for range 100 {
		if err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
		list, err = port.Bind(again)
	}
	if err != nil {
		t.Fatal(err)
	}
	port.CloseAll(list)
}

func TestForwarderHoldsLittle(t *testing.T) {
	leak.Watch(t)
	c := container(t)
	c.nginx("80")
	c.await("tcp", 80)
	bound, forwarder := c.publish("127.0.0.1::80")
	conn := dial(t, "tcp", at("127.0.0.1", bound[0]))
	fmt.Fprint(conn, "GET /who HTTP/1.0\r\n\r\n")
	readAll(t, conn)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", forwarder.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	// CAP_NET_RAW, in the container's user namespace, is for the client's address.
	for _, line := range []string{"CapInh:\t0000000000000000", "CapPrm:\t0000000000002000", "CapEff:\t0000000000002000", "CapAmb:\t0000000000000000", "NoNewPrivs:\t1"} {
		if !strings.Contains(string(status), line+"\n") {
			t.Errorf("its status has no line %q", line)
		}
	}
}

func TestWordsOfForward(t *testing.T) {
	for words, want := range map[string]string{
		"":                "forward: no sockets (expected FD=tcp|udp:PORT...)",
		"3":               `forward: malformed "3" (expected FD=tcp|udp:PORT)`,
		"2=tcp:80":        `forward: malformed "2=tcp:80" (expected FD=tcp|udp:PORT)`,
		"5=tcp:0":         `forward: malformed "5=tcp:0" (expected FD=tcp|udp:PORT)`,
		"5=sctp:1":        `forward: malformed "5=sctp:1" (expected FD=tcp|udp:PORT)`,
		"5=tcp:1 5=tcp:2": "forward: descriptor 5 twice (expected each once)",
		"500=tcp:80":      "forward fd 500: bad file descriptor",
	} {
		r := trial.Command{Path: trial.Bin(t, "rl-netd"), Args: append([]string{"forward"}, strings.Fields(words)...)}.Run(t)
		if r.Code != 125 || r.Stderr != "rl-netd: error: "+want+"\n" {
			t.Errorf("forward %s: %d, %q; want %q", words, r.Code, r.Stderr, want)
		}
	}
}
