package userns

import (
	"os"
	"testing"

	"github.com/rootless-containers/rootlesskit/v3/pkg/parent/idtools"
)

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		LookupSubordinate(uint32(os.Geteuid()), os.Getenv("PATH"))
	}
}

// BenchmarkIDTools reads the same two files; it is told the name.
func BenchmarkIDTools(b *testing.B) {
	uid := os.Geteuid()
	name := LookupSubordinate(uint32(uid), os.Getenv("PATH")).Name
	for b.Loop() {
		_, _, _ = idtools.GetSubIDRanges(uid, name)
	}
}

func BenchmarkFindHelpers(b *testing.B) {
	for b.Loop() {
		FindHelpers(os.Getenv("PATH"))
	}
}

func BenchmarkProbe(b *testing.B) {
	for _, mode := range []Mode{ModeAuto, ModeSingle} {
		b.Run(string(mode), func(b *testing.B) {
			for b.Loop() {
				if _, err := Probe(mode, os.Getenv("PATH")); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	c := plainCaller()
	for b.Loop() {
		if _, err := Compile(Request{}, c); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWriteMaps is the time of the write alone, without the child's start.
func BenchmarkWriteMaps(b *testing.B) {
	c, err := Probe(ModeAuto, os.Getenv("PATH"))
	if err != nil {
		b.Fatal(err)
	}
	for _, way := range []struct {
		name string
		req  Request
		run  func(pid int, r Result) error
	}{
		{"side by side", Request{}, func(pid int, r Result) error { return WriteMaps(pid, r.Maps, r.How) }},
		{"one after the other", Request{}, func(pid int, r Result) error {
			for _, p := range []program{
				{path: r.How.NewUIDMap, args: helperArgs(pid, r.Maps.UID), output: stderr},
				{path: r.How.NewGIDMap, args: helperArgs(pid, r.Maps.GID), output: stderr},
			} {
				if err := runAll(helperTimeout, &p); err != nil {
					return err
				}
				if err := p.failure(); err != nil {
					return err
				}
			}
			return Verify(pid, r.Maps)
		}},
		{"self", Request{Mode: ModeSingle}, func(pid int, r Result) error { return WriteMaps(pid, r.Maps, r.How) }},
	} {
		b.Run(way.name, func(b *testing.B) {
			r, err := Compile(way.req, c)
			if err != nil {
				b.Fatal(err)
			}
			if way.name == "one after the other" && r.How.Way != WayHelpers {
				skip(b, "no helpers to compare")
			}
			for range b.N {
				b.StopTimer()
				pid, _, wait := child(b)
				b.StartTimer()
				if err := way.run(pid, r); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				_, _ = wait()
				b.StartTimer()
			}
		})
	}
}
