package plan

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// With two processors the launcher's is one, and the other is for init; with any other number nothing is chosen.
func TestChooseProcessors(t *testing.T) {
	runtime.LockOSThread() // which is never unlocked: it ends with the test, and its processors with it
	var mine unix.CPUSet
	if err := unix.SchedGetaffinity(0, &mine); err != nil {
		t.Fatal(err)
	}
	var some []int
	for n := 0; n < 64 && len(some) < 3; n++ {
		if mine.IsSet(n) {
			some = append(some, n)
		}
	}
	for n := 1; n <= len(some); n++ {
		var set unix.CPUSet
		for _, cpu := range some[:n] {
			set.Set(cpu)
		}
		if err := unix.SchedSetaffinity(0, &set); err != nil {
			t.Fatal(err)
		}
		for range 20 {
			k := &memo{}
			k.chooseProcessors()
			if n != 2 {
				if k.processors != [3]processorSet{} {
					t.Fatalf("%d processors: %v", n, k.processors)
				}
				continue
			}
			all, own, other := k.processors[allProcessors][0], k.processors[ownProcessor][0], k.processors[otherProcessor][0]
			if want := uint64(1)<<some[0] | 1<<some[1]; all != want || own|other != all || own&other != 0 || own == 0 || other == 0 {
				t.Fatalf("of the processors %#x: %#x for the launcher, %#x for init", want, own, other)
			}
			runtime.Gosched()
		}
	}
}
