package main

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

func TestTableIsCurrent(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		if os.Getenv("RLRUN_NO_SKIP") == "1" {
			t.Fatal(err)
		}
		t.Skip("go is not in PATH, and it alone knows where the headers of golang.org/x/sys are")
	}
	dir, err := headers()
	if err != nil {
		t.Fatal(err)
	}
	want, err := generate(dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../table.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("table.go is stale, run go generate in caps/seccomp")
	}
}
