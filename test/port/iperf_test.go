package port

import (
	"encoding/json"
	"strconv"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
)

func TestIperf(t *testing.T) {
	trial.NeedTool(t, "iperf3")
	leak.Watch(t)
	c := container(t)
	c.start(nil, "iperf3", "-s", "-p", "5201")
	c.await("tcp", 5201)
	bound, _ := c.publish(":5201", ":5201/udp")
	number := strconv.Itoa(int(bound[0].HostPort))
	host := place{t: t, enter: []string{"env"}}
	for _, words := range [][]string{
		{"-c", "127.0.0.1", "-n", "100M"},
		{"-c", "::1", "-n", "100M", "-R"},
		{"-c", "192.0.2.1", "-n", "100M", "--bidir", "-P", "4"},
		{"-c", "127.0.0.1", "-u", "-b", "50M", "-l", "1400", "-t", "1"},
	} {
		out := host.run(append([]string{"iperf3", "-J", "-p", number}, words...)...)
		var report struct {
			Error string
			End   struct {
				SumReceived struct{ Bytes float64 } `json:"sum_received"`
				Sum         struct {
					Lost float64 `json:"lost_percent"`
				}
			}
		}
		err := json.Unmarshal([]byte(out), &report)
		if err != nil || report.Error != "" || report.End.SumReceived.Bytes == 0 || report.End.Sum.Lost > 20 {
			t.Errorf("%q: %+v, %v", words, report, err)
		}
	}
}
