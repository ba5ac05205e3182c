package main

import "testing"

func BenchmarkParse(b *testing.B) {
	for _, bench := range []struct {
		name string
		args []string
	}{
		{"defaults", []string{"./tree", "true"}},
		{"options", []string{"--userns=single", "--net=none", "--read-only", "-e", "A=b", "--security-opt", "seccomp=unconfined", "./tree", "true"}},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parse(bench.args); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
