package seccomp

import "golang.org/x/sys/unix"

// FakeRoot are rules, for Profile.Refuse, by which changes of owner and of ids and the
// making of device nodes succeed and do nothing, for programs that insist on them where
// a container has a single id: the kernel returns the errno of SECCOMP_RET_ERRNO, and 0
// is none (seccomp(2)). Fifos and sockets are made as ever.
func FakeRoot() []Rule {
	none := new(uint)
	rules := []Rule{{Action: Errno, ErrnoRet: none, Names: []string{
		"chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32",
		"setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setfsuid", "setfsgid", "setgroups",
		"setuid32", "setgid32", "setreuid32", "setregid32", "setresuid32", "setresgid32", "setfsuid32", "setfsgid32", "setgroups32",
	}}}
	for _, call := range [...]struct {
		name string
		mode uint
	}{{"mknod", 1}, {"mknodat", 2}} {
		for _, kind := range [...]uint64{unix.S_IFCHR, unix.S_IFBLK} {
			rules = append(rules, Rule{Names: []string{call.name}, Action: Errno, ErrnoRet: none, Args: []Arg{
				{Index: call.mode, Op: MaskedEqual, Value: unix.S_IFMT, ValueTwo: kind},
			}})
		}
	}
	return rules
}
