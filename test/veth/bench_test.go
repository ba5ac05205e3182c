package veth

import "testing"

// A link from the start of rl-veth to its answer.
func BenchmarkLink(b *testing.B) {
	host(b, "alice veth - 9999\npool - 192.168.0.0/16\n")
	for b.Loop() {
		b.StopTimer()
		c := newContainer(b, alice, 1)
		b.StartTimer()
		if _, err := call(b, alice, c.net); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		c.end()
		noLinks(b)
		b.StartTimer()
	}
}

// The floor under it: a program that does nothing but look at its arguments.
func BenchmarkHelp(b *testing.B) {
	host(b, thePolicy)
	path, err := veth()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := command(as(alice), nil, path, "--help").Run(); err != nil {
			b.Fatal(err)
		}
	}
}
