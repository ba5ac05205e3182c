package seccomp

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	moby "github.com/moby/profiles/seccomp"

	"github.com/rl-run/rl-run/caps"
)

// comparedProfiles are moby's profile with many sets of capabilities, and others
// that use all of the format.
func comparedProfiles(t *testing.T) []compared {
	data, err := json.Marshal(moby.DefaultProfile())
	if err != nil {
		t.Fatal(err)
	}
	var list []compared
	for _, arch := range []string{"amd64", "arm64"} {
		sets := map[string]caps.Set{
			"": caps.Default, "+SYS_ADMIN": caps.Default | caps.SysAdmin, "+ALL": caps.UpTo(40), "-ALL": 0,
			"+SYS_PTRACE,BPF": caps.Default | caps.SysPtrace | caps.Bpf, "-SYS_CHROOT": caps.Default &^ caps.SysChroot,
			"+SYS_NICE,SYS_TIME,SYSLOG": caps.Default | caps.SysNice | caps.SysTime | caps.Syslog,
		}
		for name, set := range sets {
			list = append(list, compared{"default" + name + "/" + arch, string(data), Default, Env{arch, set, [2]int{6, 1}}})
		}
		list = append(list, compared{"default-old-kernel/" + arch, string(data), Default, Env{arch, caps.Default, [2]int{4, 7}}})
		for name, text := range customProfiles() {
			parse := func() *Profile {
				p, err := Parse([]byte(text))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return p
			}
			list = append(list, compared{name + "/" + arch, text, parse, Env{arch, caps.Default, [2]int{6, 1}}})
		}
	}
	slices.SortFunc(list, func(a, b compared) int { return strings.Compare(a.name, b.name) })
	return list
}

const allArches = `"archMap": [
	{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32"]},
	{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]}]`

// customProfiles are profiles by name.
func customProfiles() map[string]string {
	list := map[string]string{}
	// Each operator with values on all sides of 32 bits, one call a value.
	calls := []string{"read", "write", "close", "dup", "getpid", "kill", "umask", "fcntl", "keyctl", "ioctl", "mount", "splice"}
	values := []uint64{0, 1, 5, 0x7fffffff, 0x80000000, 0xffffffff, 1 << 32, 1<<32 + 5, 0xfffffffe_ffffffff, 1 << 63, ^uint64(0) - 1, ^uint64(0)}
	for _, op := range []Op{NotEqual, Less, LessEqual, Equal, GreaterEqual, Greater} {
		var rules []string
		for i, v := range values {
			rules = append(rules, fmt.Sprintf(`{"names": [%q], "action": "SCMP_ACT_ALLOW", "args": [{"index": %d, "value": %d, "op": %q}]}`,
				calls[i], i%6, v, op))
		}
		list["op "+string(op)] = fmt.Sprintf(`{"defaultAction": "SCMP_ACT_ERRNO", %s, "syscalls": [%s]}`, allArches, strings.Join(rules, ",\n"))
	}
	masks := [][2]uint64{
		{0xff, 0x41},
		{0xff, 0x1ff}, // the value has bits outside of the mask
		{0xffffffff, 0x5412},
		{0xffffffff, 1<<32 | 5},
		{0xff00000000, 0x100000000},
		{0xff00000000, 5},
		{0xffffffff00000000, 0xdeadbeef00000000},
		{^uint64(0), 1<<40 | 7},
		{0x7e020000, 0},
		{0x8000000080000000, 0x8000000000000000},
		{1, 1},
		{0xf0f0f0f0f0f0f0f0, 0},
	}
	var rules []string
	for i, m := range masks {
		rules = append(rules, fmt.Sprintf(`{"names": [%q], "action": "SCMP_ACT_ERRNO", "errnoRet": %d, "args": [{"index": %d, "value": %d, "valueTwo": %d, "op": "SCMP_CMP_MASKED_EQ"}]}`,
			calls[i], 10+i, i%6, m[0], m[1]))
	}
	list["masks"] = fmt.Sprintf(`{"defaultAction": "SCMP_ACT_ALLOW", %s, "syscalls": [%s]}`, allArches, strings.Join(rules, ",\n"))

	list["actions"] = `{"defaultAction": "SCMP_ACT_TRAP", ` + allArches + `, "syscalls": [
		{"name": "read", "action": "SCMP_ACT_ALLOW"},
		{"names": ["write"], "action": "SCMP_ACT_ERRNO"},
		{"names": ["close", "socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 0},
		{"names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 4094},
		{"names": ["getpid"], "action": "SCMP_ACT_KILL"},
		{"names": ["kill"], "action": "SCMP_ACT_KILL_THREAD"},
		{"names": ["umask"], "action": "SCMP_ACT_KILL_PROCESS"},
		{"names": ["fcntl"], "action": "SCMP_ACT_TRACE", "errnoRet": 77},
		{"names": ["keyctl"], "action": "SCMP_ACT_LOG"},
		{"names": ["ioctl"], "action": "SCMP_ACT_TRAP"},
		{"names": ["getuid", "no_such_call", "swapcontext"], "action": "SCMP_ACT_ALLOW"}]}`

	list["errno of the default action"] = `{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38, ` + allArches + `, "syscalls": [
		{"names": ["read"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
		{"names": ["close"], "action": "SCMP_ACT_ERRNO"}]}`

	// All conditions of a rule, but alternatives on the same argument.
	list["several arguments"] = `{"defaultAction": "SCMP_ACT_ERRNO", ` + allArches + `, "syscalls": [
		{"names": ["keyctl"], "action": "SCMP_ACT_ALLOW", "args": [
			{"index": 0, "value": 5, "op": "SCMP_CMP_GT"}, {"index": 1, "value": 4294967301, "op": "SCMP_CMP_NE"}]},
		{"names": ["mount"], "action": "SCMP_ACT_ALLOW", "args": [
			{"index": 3, "value": 240, "valueTwo": 16, "op": "SCMP_CMP_MASKED_EQ"}, {"index": 0, "value": 3, "op": "SCMP_CMP_LE"},
			{"index": 5, "value": 18446744073709551615, "op": "SCMP_CMP_LT"}]},
		{"names": ["kill"], "action": "SCMP_ACT_ALLOW", "args": [
			{"index": 1, "value": 5, "op": "SCMP_CMP_EQ"}, {"index": 1, "value": 9, "op": "SCMP_CMP_EQ"},
			{"index": 1, "value": 4294967295, "op": "SCMP_CMP_GT"}]},
		{"names": ["fcntl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 1, "op": "SCMP_CMP_EQ"}]},
		{"names": ["fcntl"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 2, "value": 7, "op": "SCMP_CMP_EQ"}]}]}`

	// Verdicts that differ by argument, without overlap.
	list["errnos by argument"] = `{"defaultAction": "SCMP_ACT_ALLOW", ` + allArches + `, "syscalls": [
		{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 6, "args": [{"index": 0, "value": 6, "op": "SCMP_CMP_EQ"}]},
		{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 0, "value": 4294967301, "op": "SCMP_CMP_EQ"}]},
		{"names": ["keyctl"], "action": "SCMP_ACT_KILL", "args": [{"index": 0, "value": 1000000, "op": "SCMP_CMP_EQ"}]},
		{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [{"index": 0, "value": 3, "op": "SCMP_CMP_EQ"}]},
		{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "errnoRet": 97, "args": [{"index": 0, "value": 16, "op": "SCMP_CMP_EQ"}, {"index": 2, "value": 12, "op": "SCMP_CMP_EQ"}]}]}`

	// What comes first and what has conditions does not matter beside a rule
	// without; the default action does not count.
	list["precedence"] = `{"defaultAction": "SCMP_ACT_ERRNO", ` + allArches + `, "syscalls": [
		{"names": ["read", "read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["read"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9},
		{"names": ["write"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["write"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9, "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["close"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9},
		{"names": ["close"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["dup"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1},
		{"names": ["dup"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 0, "value": 5, "op": "SCMP_CMP_EQ"}]},
		{"names": ["arm_sync_file_range"], "action": "SCMP_ACT_ALLOW"},
		{"names": ["sync_file_range2", "set_tls"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9},
		{"names": ["get_tls", "usr26", "usr32", "breakpoint"], "action": "SCMP_ACT_ALLOW"}]}`

	// Subcalls of socketcall and ipc on i386; without those for which libseccomp
	// 2.5.4 makes no rule at all when x86_64 is the machine's architecture: accept,
	// recv, send, semop and semtimedop.
	list["subcalls"] = `{"defaultAction": "SCMP_ACT_ALLOW", ` + allArches + `, "syscalls": [
		{"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_EQ"}]},
		{"names": ["bind"], "action": "SCMP_ACT_ERRNO", "errnoRet": 2, "args": [{"index": 2, "value": 40, "op": "SCMP_CMP_EQ"}]},
		{"names": ["connect", "listen", "getsockname", "getpeername", "socketpair", "sendto", "recvfrom", "shutdown",
			"setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
			"semget", "semctl", "msgsnd", "msgrcv", "msgget", "msgctl", "shmat", "shmdt", "shmget", "shmctl"],
			"action": "SCMP_ACT_ERRNO", "errnoRet": 3}]}`

	for name, arches := range map[string]string{
		"no list":  ``,
		"native":   `"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64"],`,
		"with x86": `"architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],`,
		"with x32": `"architectures": ["SCMP_ARCH_X32", "SCMP_ARCH_X86_64"],`,
		"with arm": `"architectures": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_ARM"],`,
	} {
		list["architectures "+name] = `{"defaultAction": "SCMP_ACT_ERRNO", ` + arches + ` "syscalls": [
			{"names": ["read", "getuid32", "ioctl", "cacheflush"], "action": "SCMP_ACT_ALLOW"},
			{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": 9, "args": [{"index": 4, "value": 4294967296, "op": "SCMP_CMP_GE"}]}]}`
	}
	list["nothing allowed"] = `{"defaultAction": "SCMP_ACT_KILL_PROCESS", "syscalls": []}`
	list["everything allowed"] = `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": null}`
	return list
}
