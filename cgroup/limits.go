package cgroup

import (
	"fmt"
	"strconv"
)

// Unlimited is the number that takes a limit away: -1 on the command line.
const Unlimited = -1

// Limits is what a container may use. The zero value limits nothing, and a number
// that is zero is no limit.
type Limits struct {
	Memory      int64         `json:"memory,omitempty"`      // bytes
	MemorySwap  int64         `json:"memorySwap,omitempty"`  // bytes of memory and swap together; 0 is twice Memory, -1 no limit
	CPUs        int64         `json:"cpus,omitempty"`        // microseconds of processor time a second
	CPUWeight   int64         `json:"cpuWeight,omitempty"`   // 1 to 10000, beside 100 of others
	CPUSet      Set           `json:"cpuset,omitempty"`      // processors
	Pids        int64         `json:"pids,omitempty"`        // processes and threads
	BlkioWeight int64         `json:"blkioWeight,omitempty"` // 10 to 1000
	Devices     []DeviceLimit `json:"devices,omitempty"`     // in the order of the command line
}

// Rate is what of a device is limited, by the kernel's key in io.max.
type Rate string

// The rates.
const (
	ReadBPS   Rate = "rbps"  // bytes read a second
	WriteBPS  Rate = "wbps"  // bytes written a second
	ReadIOPS  Rate = "riops" // reads a second
	WriteIOPS Rate = "wiops" // writes a second
)

// flag is the option that sets the rate.
func (r Rate) flag() string {
	switch r {
	case ReadBPS:
		return "--device-read-bps"
	case WriteBPS:
		return "--device-write-bps"
	case ReadIOPS:
		return "--device-read-iops"
	default:
		return "--device-write-iops"
	}
}

// DeviceLimit limits one rate of one block device.
type DeviceLimit struct {
	Path string `json:"path"` // of the device's node
	Rate Rate   `json:"rate"`
	Max  int64  `json:"max"` // a second, above zero
}

// String is the option that asks for it.
func (d DeviceLimit) String() string {
	n := strconv.FormatInt(d.Max, 10)
	if d.Rate == ReadBPS || d.Rate == WriteBPS {
		n = formatSize(d.Max)
	}
	return fmt.Sprintf("%s %s:%s", d.Rate.flag(), d.Path, n)
}

// IsZero tells that nothing is limited, so that no group is needed.
func (l *Limits) IsZero() bool {
	return l.Memory == 0 && l.MemorySwap == 0 && l.CPUs == 0 && l.CPUWeight == 0 && len(l.CPUSet) == 0 &&
		l.Pids <= 0 && l.BlkioWeight == 0 && len(l.Devices) == 0
}

// Flags are the options of the command line that [Limits.Set] takes, without dashes.
var Flags = [...]string{
	"memory", "memory-swap", "cpus", "cpu-weight", "cpuset-cpus", "pids-limit", "blkio-weight",
	"device-read-bps", "device-write-bps", "device-read-iops", "device-write-iops",
}

// Set sets the limit of an option. The error names option, value and what was
// expected.
func (l *Limits) Set(flag, value string) (err error) {
	device := func(r Rate) error {
		d, err := ParseDevice(r, value)
		if err == nil {
			l.Devices = append(l.Devices, d)
		}
		return err
	}
	switch flag {
	case "memory":
		l.Memory, err = ParseMemory(value)
	case "memory-swap":
		l.MemorySwap, err = ParseMemorySwap(value)
	case "cpus":
		l.CPUs, err = ParseCPUs(value)
	case "cpu-weight":
		l.CPUWeight, err = ParseCPUWeight(value)
	case "cpuset-cpus":
		l.CPUSet, err = ParseSet(value)
	case "pids-limit":
		l.Pids, err = ParsePids(value)
	case "blkio-weight":
		l.BlkioWeight, err = ParseBlkioWeight(value)
	case "device-read-bps":
		err = device(ReadBPS)
	case "device-write-bps":
		err = device(WriteBPS)
	case "device-read-iops":
		err = device(ReadIOPS)
	case "device-write-iops":
		err = device(WriteIOPS)
	default:
		return fmt.Errorf("--%s: no such limit", flag)
	}
	if err != nil {
		return fmt.Errorf("--%s %w", flag, err)
	}
	return nil
}

// Check tells what does not go together, as an error that names the options. It is
// for when all of them are set.
func (l *Limits) Check() error {
	switch {
	case l.MemorySwap > 0 && l.Memory == 0:
		return fmt.Errorf("--memory-swap %s: it limits memory and swap together, and needs --memory", formatSize(l.MemorySwap))
	case l.MemorySwap > 0 && l.MemorySwap < l.Memory:
		return fmt.Errorf("--memory-swap %s: it limits memory and swap together: expected %s (--memory) or more, or -1",
			formatSize(l.MemorySwap), formatSize(l.Memory))
	}
	return nil
}

// formatSize writes bytes the way they are given: with the largest unit that leaves
// no fraction.
func formatSize(n int64) string {
	if n < 0 {
		return "-1"
	}
	unit := ""
	for _, u := range [...]string{"k", "m", "g", "t"} {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, u
	}
	return strconv.FormatInt(n, 10) + unit
}

// formatCPUs writes a share of processors: 1.5 for 1500000 microseconds.
func formatCPUs(us int64) string {
	return strconv.FormatFloat(float64(us)/1e6, 'f', -1, 64)
}
