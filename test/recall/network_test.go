package recall

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

// In a session, a memo makes a link to one of the session's bridges: the container is the same but for its place there.
func TestSessionNetwork(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	h.rl("rl-net", "start").OK(t)
	t.Cleanup(func() { h.rl("rl-net", "stop").OK(t) })
	h.rl("rl-net", "create", "db").OK(t)
	t.Cleanup(func() { h.rl("rl-net", "rm", "db").OK(t) })
	for _, options := range [][]string{{"--cap-add=NET_RAW"}, {"--net=db", "-h", "known", "--cap-add=NET_RAW"}} {
		call := func(command ...string) []string { return slices.Concat(options, []string{tree}, command) }
		for _, memo := range h.memos() { // of the options before, which may have the same slot
			must(t, os.Remove(memo))
		}
		want := h.run(call("sh", "-c", describe+"; ip route; cat /proc/net/route | wc -l")...).OK(t)
		if len(h.memos()) == 0 {
			h.prime(call("true")...)
		}
		// its numbers differ
		apart := func(s string) (lines []string) {
			for line := range strings.Lines(varying.ReplaceAllString(s, "X")) {
				if !strings.Contains(line, "link/ether") && !strings.Contains(line, "eth0") {
					lines = append(lines, line)
				}
			}
			return lines
		}
		got := h.recalls(call("sh", "-c", describe+"; ip route; cat /proc/net/route | wc -l")...).OK(t)
		if a, b := strings.Join(apart(want), ""), strings.Join(apart(got), ""); a != b {
			t.Errorf("%v: the container differs:\n%s", options, difference(a, b))
		}
		gateway := h.recalls(call("sh", "-c", `ip route | sed -n "s/^default via \([^ ]*\).*/\1/p"`)...).OK(t)
		h.recalls(call("nslookup", gateway, gateway)...)
		h.recalls(call("ping", "-c", "1", "-w", "5", gateway)...).OK(t)

		// Each has an address of its own, also many at once.
		addresses := make([]string, 20)
		var all sync.WaitGroup
		for i := range addresses {
			all.Go(func() {
				r := h.run(call("sh", "-c", `ip -4 -o addr show eth0 | sed "s/.*inet \([^ ]*\).*/\1/"; sleep 0.5`)...)
				addresses[i] = fmt.Sprint(r.Code, r.Stdout)
			})
		}
		all.Wait()
		slices.Sort(addresses)
		if slices.Contains(addresses, "0") || len(slices.Compact(slices.Clone(addresses))) != len(addresses) || !strings.HasPrefix(addresses[0], "0") {
			t.Errorf("%v: addresses %q", options, addresses)
		}
	}

	// The name server knows who has which address, and rl-inspect too.
	c := trial.Command{Args: []string{"--net=db", "-h", "known", tree, "sh", "-c", "echo ready; sleep 100"}, Env: h.env()}.Start(t)
	c.Stdout("ready\n")
	files, err := filepath.Glob(h.dir + "/rl-run/net/names/db/*")
	must(t, err)
	known := ""
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && string(text) == "known\n" {
			known = filepath.Base(f)
		}
	}
	if known == "" {
		t.Errorf("no file of names: %v", files)
	}
	c.Signal(15)
	c.Wait()
}
