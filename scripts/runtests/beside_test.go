package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

func TestApart(t *testing.T) {
	one, vm := pkg{ImportPath: "m/test/one"}, pkg{ImportPath: "m/test/vm"}
	one.Module.Path, vm.Module.Path = "m", "m"
	if alone, others := apart([]pkg{one, vm}, "test/vm"); alone == nil || alone.short() != "test/vm" || len(others) != 1 || others[0].short() != "test/one" {
		t.Errorf("%v %v", alone, others)
	}
	for _, list := range [][]pkg{{vm}, {one}, {one, one}} {
		if alone, others := apart(list, "test/vm"); alone != nil || len(others) != len(list) {
			t.Errorf("%v %v", alone, others)
		}
	}
}

func TestBesideCounts(t *testing.T) {
	for _, c := range []struct {
		script string
		want   Count
		says   string
	}{
		{"echo ok; echo 3 passed, 0 failed, 0 skipped", Count{Passed: 3}, "ok\n"},
		{"echo FAIL x; echo 3 passed, 2 failed, 1 skipped; exit 1", Count{3, 2, 1}, "FAIL x\n"},
		{"echo 1 passed, 0 failed, 0 skipped; exit 1", Count{1, 1, 0}, "exit status 1"},
		{"echo broken; exit 2", Count{Failed: 1}, "broken\nthe run beside ended without a count: exit status 2"},
		{"kill -9 $$", Count{Failed: 1}, "signal: killed"},
	} {
		b := &beside{cmd: exec.Command("sh", "-c", c.script)}
		b.cmd.Stdout, b.cmd.Stderr = &b.out, &b.out
		if err := b.cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var said bytes.Buffer
		if got := b.wait(&said); got != c.want || !strings.Contains(said.String(), c.says) {
			t.Errorf("%s: %v, %q", c.script, got, said.String())
		}
	}
}
