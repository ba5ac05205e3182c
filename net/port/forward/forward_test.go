package forward

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Here client, forwarder and server share one net namespace; test/port has real ones.

// start forwards a new socket of the host's loopback address to port, and returns the
// socket's address. At the end of the test nothing may be left running.
func start(t *testing.T, network string, port int, o Options) string {
	t.Helper()
	var f *os.File
	var address string
	var err error
	if network == "udp" {
		c, e := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if e != nil {
			t.Fatal(e)
		}
		defer func() { _ = c.Close() }()
		address = c.LocalAddr().String()
		if f, err = c.File(); err == nil {
			err = unix.SetsockoptInt(int(f.Fd()), unix.SOL_IP, unix.IP_PKTINFO, 1)
		}
	} else {
		l, e := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if e != nil {
			t.Fatal(e)
		}
		defer func() { _ = l.Close() }()
		address = l.Addr().String()
		f, err = l.File()
	}
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	f.Close()
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- Serve(ctx, []Socket{{FD: fd, UDP: network == "udp", Port: uint16(port)}}, o) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(5 * time.Second):
			buf := make([]byte, 1<<16)
			t.Fatalf("Serve does not end:\n%s", buf[:runtime.Stack(buf, true)])
		}
		for range 100 {
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		buf := make([]byte, 1<<16)
		t.Errorf("goroutines: %d before, %d after\n%s", before, runtime.NumGoroutine(), buf[:runtime.Stack(buf, true)])
	})
	return address
}

// listen starts a TCP server.
func listen(t *testing.T, address string, serve func(*net.TCPConn)) int {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() {
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				serve(c.(*net.TCPConn))
			})
		}
	})
	return l.Addr().(*net.TCPAddr).Port
}

func dial(t *testing.T, network, address string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}

func echo(c *net.TCPConn) { _, _ = io.Copy(struct{ io.Writer }{c}, struct{ io.Reader }{c}) }

// random returns the same bytes for the same seed.
func random(n int, seed byte) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b)
	return b
}

func TestBytesAreTheSame(t *testing.T) {
	for _, network := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(network, func(t *testing.T) {
			address := start(t, "tcp", listen(t, network, echo), Options{})
			// Of all sizes, so that pieces go through buffers and through pipes.
			for _, size := range []int{0, 1, 1000, bufferSize, bufferSize + 1, 1 << 20, 30 << 20} {
				c := dial(t, "tcp", address).(*net.TCPConn)
				sent := random(size, byte(size))
				go func() {
					_, _ = c.Write(sent)
					_ = c.CloseWrite()
				}()
				got, err := io.ReadAll(c)
				if err != nil || !bytes.Equal(got, sent) {
					t.Errorf("%d bytes: %d came back, %v", size, len(got), err)
				}
			}
		})
	}
}

func TestSlowReader(t *testing.T) {
	sent := random(20<<20, 1)
	address := start(t, "tcp", listen(t, "127.0.0.1:0", func(c *net.TCPConn) { _, _ = c.Write(sent) }), Options{})
	c := dial(t, "tcp", address)
	var got bytes.Buffer
	piece := make([]byte, 1<<20)
	for {
		n, err := c.Read(piece)
		got.Write(piece[:n])
		if err != nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if !bytes.Equal(got.Bytes(), sent) {
		t.Errorf("%d bytes of %d", got.Len(), len(sent))
	}
}

func TestServerMayCloseFirst(t *testing.T) {
	heard := make(chan string, 1)
	address := start(t, "tcp", listen(t, "127.0.0.1:0", func(c *net.TCPConn) {
		_, _ = c.Write([]byte("bye"))
		_ = c.CloseWrite()
		all, _ := io.ReadAll(c)
		heard <- string(all)
	}), Options{})
	c := dial(t, "tcp", address).(*net.TCPConn)
	if got, err := io.ReadAll(c); err != nil || string(got) != "bye" {
		t.Fatalf("%q, %v", got, err)
	}
	_, _ = c.Write([]byte("still here"))
	_ = c.CloseWrite()
	if got := <-heard; got != "still here" {
		t.Errorf("%q", got)
	}
}

func TestResets(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		address := start(t, "tcp", listen(t, "127.0.0.1:0", func(c *net.TCPConn) {
			_, _ = c.Read(make([]byte, 1))
			_ = c.SetLinger(0)
		}), Options{})
		c := dial(t, "tcp", address)
		_, _ = c.Write([]byte("x"))
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
	})
	t.Run("client", func(t *testing.T) {
		seen := make(chan error, 1)
		address := start(t, "tcp", listen(t, "127.0.0.1:0", func(c *net.TCPConn) {
			_, _ = c.Write([]byte("x"))
			_, err := c.Read(make([]byte, 1))
			seen <- err
		}), Options{})
		c := dial(t, "tcp", address).(*net.TCPConn)
		_, _ = c.Read(make([]byte, 1))
		_ = c.SetLinger(0)
		_ = c.Close()
		if err := <-seen; !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the server sees %v", err)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		address := start(t, "tcp", closedPort(t), Options{})
		// The reset may come before connect has returned.
		c, err := net.Dial("tcp", address)
		if err == nil {
			_, err = c.Read(make([]byte, 1))
			c.Close()
		}
		if !errors.Is(err, unix.ECONNRESET) {
			t.Errorf("the client sees %v", err)
		}
	})
}

// TestAnswerBeforeReset has a server answer and go while the client still sends.
func TestAnswerBeforeReset(t *testing.T) {
	address := start(t, "tcp", listen(t, "127.0.0.1:0", func(c *net.TCPConn) {
		_, _ = io.ReadFull(c, make([]byte, 10))
		_, _ = c.Write([]byte("too large"))
	}), Options{})
	c := dial(t, "tcp", address)
	_, _ = c.Write([]byte("0123456789"))
	time.Sleep(50 * time.Millisecond)
	_, _ = c.Write([]byte("more"))
	got := make([]byte, 9)
	if n, err := io.ReadFull(c, got); err != nil || string(got[:n]) != "too large" {
		t.Errorf("%q, %v", got[:n], err)
	}
}

func closedPort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func TestConnectionsWaitForRoom(t *testing.T) {
	address := start(t, "tcp", listen(t, "127.0.0.1:0", echo), Options{Connections: 2})
	ask := func(c net.Conn, within time.Duration) bool {
		_ = c.SetDeadline(time.Now().Add(within))
		_, _ = c.Write([]byte("x"))
		_, err := io.ReadFull(c, make([]byte, 1))
		return err == nil
	}
	first, second, third := dial(t, "tcp", address), dial(t, "tcp", address), dial(t, "tcp", address)
	if !ask(first, 5*time.Second) || !ask(second, 5*time.Second) {
		t.Fatal("two clients are not served")
	}
	if ask(third, 100*time.Millisecond) {
		t.Error("a third one is served")
	}
	_ = first.Close()
	if !ask(third, 5*time.Second) {
		t.Error("the third one is not served when there is room")
	}
}

// TestIdleConnectionsHoldNoPipe counts what a connection costs between two pieces.
func TestIdleConnectionsHoldNoPipe(t *testing.T) {
	address := start(t, "tcp", listen(t, "127.0.0.1:0", echo), Options{})
	for range 3 * maxPipes {
		c := dial(t, "tcp", address)
		sent := random(1<<20, 3)
		go func() { _, _ = c.Write(sent) }()
		if _, err := io.ReadFull(c, make([]byte, len(sent))); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(50 * time.Millisecond)
	pipes.Lock()
	defer pipes.Unlock()
	if pipes.made > maxPipes || len(pipes.idle) != pipes.made {
		t.Errorf("%d pipes of %d are idle", len(pipes.idle), pipes.made)
	}
}

// listenUDP starts a server that answers with whom it sees and what it heard.
func listenUDP(t *testing.T, address string) *net.UDPConn {
	t.Helper()
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool)
	go func() {
		defer close(ended)
		b := make([]byte, 1<<16)
		for {
			n, from, err := c.ReadFrom(b)
			if err != nil {
				return
			}
			if n < 1000 {
				_, _ = c.WriteTo(append([]byte(from.String()+" "), b[:n]...), from)
			} else {
				_, _ = c.WriteTo(b[:n], from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-ended
	})
	return c.(*net.UDPConn)
}

// ask sends a datagram and returns whom the server saw, or "" if it does not answer.
func ask(t *testing.T, c net.Conn, question string) (seen string) {
	t.Helper()
	_, _ = c.Write([]byte(question))
	_ = c.SetReadDeadline(time.Now().Add(2 * time.Second))
	b := make([]byte, 2000)
	n, err := c.Read(b)
	if err != nil {
		return ""
	}
	seen, answer, _ := strings.Cut(string(b[:n]), " ")
	if answer != question {
		t.Errorf("asked %q, heard %q", question, answer)
	}
	return seen
}

func TestDatagrams(t *testing.T) {
	for _, network := range []string{"127.0.0.1:0", "[::1]:0"} {
		t.Run(network, func(t *testing.T) {
			server := listenUDP(t, network)
			address := start(t, "udp", server.LocalAddr().(*net.UDPAddr).Port, Options{})
			a, b := dial(t, "udp", address), dial(t, "udp", address)
			seenA, seenB := ask(t, a, "one"), ask(t, b, "two")
			if seenA == "" || seenB == "" || seenA == seenB {
				t.Fatalf("clients are seen as %q and %q", seenA, seenB)
			}
			if again := ask(t, a, "three"); again != seenA {
				t.Errorf("the first one is seen as %q, then as %q", seenA, again)
			}
			if empty := ask(t, a, ""); empty != seenA {
				t.Errorf("an empty datagram: %q", empty)
			}
			large := random(65507, 7)
			_, _ = a.Write(large)
			got := make([]byte, 1<<16)
			if n, err := a.Read(got); err != nil || !bytes.Equal(got[:n], large) {
				t.Errorf("the largest datagram: %d bytes, %v", n, err)
			}
		})
	}
}

func TestSilentClientsAreForgotten(t *testing.T) {
	server := listenUDP(t, "127.0.0.1:0")
	address := start(t, "udp", server.LocalAddr().(*net.UDPAddr).Port, Options{Idle: 200 * time.Millisecond})
	c := dial(t, "udp", address)
	first := ask(t, c, "one")
	for range 5 {
		time.Sleep(60 * time.Millisecond)
		if again := ask(t, c, "still here"); again != first {
			t.Fatalf("seen as %q, then as %q", first, again)
		}
	}
	time.Sleep(500 * time.Millisecond)
	if again := ask(t, c, "two"); again == "" || again == first {
		t.Errorf("after the silence seen as %q, before as %q", again, first)
	}
}

func TestTheMostSilentClientMakesRoom(t *testing.T) {
	server := listenUDP(t, "127.0.0.1:0")
	address := start(t, "udp", server.LocalAddr().(*net.UDPAddr).Port, Options{Clients: 2})
	a, b, c := dial(t, "udp", address), dial(t, "udp", address), dial(t, "udp", address)
	seenA, seenB := ask(t, a, "a"), ask(t, b, "b")
	if ask(t, a, "a again") != seenA || ask(t, c, "c") == "" {
		t.Fatal("not served")
	}
	if again := ask(t, a, "a"); again != seenA {
		t.Errorf("the one that spoke last was forgotten: %q, %q", seenA, again)
	}
	if again := ask(t, b, "b"); again == seenB || again == "" {
		t.Errorf("the silent one was kept: %q, %q", seenB, again)
	}
}

func TestServerThatComesBack(t *testing.T) {
	server := listenUDP(t, "127.0.0.1:0")
	port := server.LocalAddr().(*net.UDPAddr).Port
	address := start(t, "udp", port, Options{})
	c := dial(t, "udp", address)
	if ask(t, c, "one") == "" {
		t.Fatal("not served")
	}
	_ = server.Close()
	_, _ = c.Write([]byte("lost"))
	_, _ = c.Write([]byte("lost too"))
	time.Sleep(20 * time.Millisecond)
	listenUDP(t, fmt.Sprintf("127.0.0.1:%d", port))
	if ask(t, c, "two") == "" {
		t.Error("not served by the new one")
	}
}

func TestOptions(t *testing.T) {
	var o Options
	o.fill(10)
	if o.Connections < 1 || o.Clients < 1 || o.Idle != 90*time.Second {
		t.Errorf("%+v", o)
	}
}
