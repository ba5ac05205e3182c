// Package seccomp compiles a profile in docker's JSON format, or moby's default
// one, into the classic BPF program that seccomp(2) loads. It is pure Go and
// loads nothing itself.
//
// # Verdicts
//
// The verdicts are those of libseccomp, by way of which docker, podman, runc and
// crun use such a profile; tests compare the two over all numbers and over the
// edges of the arguments. What follows from that, and may surprise:
//
//   - A rule without arguments beats every rule with arguments for the same call,
//     wherever it stands. Of two without arguments the first counts.
//   - A rule whose action is the default action counts for nothing.
//   - Two conditions on the same argument of one rule are alternatives, as if each
//     stood in a rule of its own; on different arguments they must all hold.
//   - On 32-bit architectures, x32 among them, only the low halves of argument and
//     value are compared, for every operator.
//   - A name that no architecture here has is passed over without a word.
//   - A system call of an architecture that the profile does not list kills the
//     thread, and so does a number of x32 where only x86_64 is listed.
//   - On i386 a rule for socket(2) and its like also applies to the subcall of
//     socketcall(2), and one for semget(2) and its like to that of ipc(2), with
//     the condition on argument 0 replaced by the number of the subcall. Here that
//     holds for accept, recv, send, semop and semtimedop as well, for which
//     libseccomp 2.5 makes no rule when the machine's architecture is x86_64.
//
// Rules with different actions whose arguments overlap are tried in the order of
// the profile; libseccomp has an order of its own there, which it does not
// promise.
//
// Two things go beyond libseccomp, and beyond JSON: Profile.Refuse and
// Profile.NewerENOSYS. The second is what runc adds to libseccomp's program.
//
// # Why a compiler of our own
//
// github.com/elastic/go-seccomp-bpf is the pure Go package there is. It has no
// errno for a rule, no masked comparison, one architecture a filter, and a
// program that tests one number after the other. The kernel runs a new filter
// once for each number of a system call to learn which ones it always allows
// (since 5.11), so a program with a test for each number costs several times as
// much to load as one that searches ranges of numbers by halving: for moby's
// profile 700 against 80 microseconds on one machine. TestCosts prints both.
package seccomp

// The programs are made with the table, hence the order.

//go:generate go run ./internal/tables table.go
//go:generate go test -run TestStoredProgramsAreCurrent -update
