// Tables writes the table of system call numbers that package seccomp reads.
//
// The numbers of x86_64, i386, arm64 and arm are those of golang.org/x/sys/unix,
// which is generated from the kernel's headers at each release. It has no
// tables for x32 and for the private calls of arm; both are frozen and are
// written down here.
package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "tables:", err)
		os.Exit(1)
	}
}

// run writes the table to the file named as the only argument.
func run() error {
	if len(os.Args) != 2 {
		return fmt.Errorf("usage: tables FILE")
	}
	dir, err := headers()
	if err != nil {
		return err
	}
	src, err := generate(dir)
	if err != nil {
		return err
	}
	return os.WriteFile(os.Args[1], src, 0o644)
}

// headers is the directory of golang.org/x/sys/unix in the version of go.mod.
func headers() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		return "", fmt.Errorf("list golang.org/x/sys: %w", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "unix"), nil
}

// The columns of the table, in the order of the constants in package seccomp.
const (
	x86_64 = iota
	i386
	x32
	aarch64
	arm
	columns
)

// none stands for a call that an architecture does not have.
const none = 0xffff

// armPrivate is how a private call of arm, 0xf0000 and up, is kept in 16 bits.
const armPrivate = 0xf000

// armCalls are the private calls of arm, asm/unistd.h.
var armCalls = map[string]int{
	"breakpoint": 1, "cacheflush": 2, "usr26": 3, "usr32": 4, "set_tls": 5, "get_tls": 6,
}

// x32Own are the calls that x32 has under a number of its own, from 512 on, and
// only64 those that it lacks. The kernel keeps both lists in
// arch/x86/entry/syscalls/syscall_64.tbl and says that the first is closed.
// Every other number is that of x86_64.
const x32Own = `rt_sigaction rt_sigreturn ioctl readv writev recvfrom sendmsg recvmsg execve ptrace
rt_sigpending rt_sigtimedwait rt_sigqueueinfo sigaltstack timer_create mq_notify kexec_load waitid
set_robust_list get_robust_list vmsplice move_pages preadv pwritev rt_tgsigqueueinfo recvmmsg sendmmsg
process_vm_readv process_vm_writev setsockopt getsockopt io_setup io_submit execveat preadv2 pwritev2`

const only64 = `uselib _sysctl create_module get_kernel_syms query_module nfsservctl set_thread_area
get_thread_area epoll_ctl_old epoll_wait_old vserver uretprobe uprobe map_shadow_stack`

// muxed are calls that i386 has, or once had, only as a subcall of socketcall or
// ipc: they need a line in the table even if no architecture numbers them.
const muxed = `accept recv send semop semtimedop`

// generate makes the Go source of the table.
func generate(dir string) ([]byte, error) {
	table := map[string]*[columns]int{}
	set := func(name string, column, nr int) {
		row := table[name]
		if row == nil {
			row = &[columns]int{none, none, none, none, none}
			table[name] = row
		}
		row[column] = nr
	}
	for column, goarch := range map[int]string{x86_64: "amd64", i386: "386", aarch64: "arm64", arm: "arm"} {
		calls, err := read(filepath.Join(dir, "zsysnum_linux_"+goarch+".go"))
		if err != nil {
			return nil, err
		}
		for name, nr := range calls {
			set(name, column, nr)
			if column == x86_64 && !slices.Contains(strings.Fields(only64), name) {
				set(name, x32, nr)
			}
		}
	}
	for i, name := range strings.Fields(x32Own) {
		set(name, x32, 512+i)
	}
	for name, nr := range armCalls {
		set(name, arm, armPrivate|nr)
	}
	for name := range strings.FieldsSeq(muxed) {
		if table[name] == nil {
			set(name, i386, none)
		}
	}
	return write(table)
}

// read collects the constants SYS_NAME of one file.
func read(file string) (map[string]int, error) {
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	calls := map[string]int{}
	for _, decl := range tree.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			value := spec.(*ast.ValueSpec)
			name, ok := strings.CutPrefix(value.Names[0].Name, "SYS_")
			if !ok {
				continue
			}
			lit, ok := value.Values[0].(*ast.BasicLit)
			if !ok {
				return nil, fmt.Errorf("%s: %s is not a number", file, name)
			}
			nr, err := strconv.Atoi(lit.Value)
			if err != nil {
				return nil, err
			}
			calls[strings.ToLower(name)] = nr
		}
	}
	// Not calls: a mask of arm's numbers, and the first of a range that arm64
	// leaves to its variants.
	delete(calls, "syscall_mask")
	delete(calls, "arch_specific_syscall")
	if len(calls) < 300 {
		return nil, fmt.Errorf("%s: only %d calls", file, len(calls))
	}
	return calls, nil
}

// write formats the table: all names in one string, sorted, with the offset of
// each, and one row of numbers a name.
func write(table map[string]*[columns]int) ([]byte, error) {
	names := make([]string, 0, len(table))
	most := 0
	for name, row := range table {
		names = append(names, name)
		for _, nr := range row {
			if nr < armPrivate {
				most = max(most, nr)
			}
		}
	}
	slices.Sort(names)
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by internal/tables; DO NOT EDIT.\n\npackage seccomp\n\n")
	fmt.Fprintf(&b, "// callCount is how many names the table has.\nconst callCount = %d\n\n", len(names))
	fmt.Fprintf(&b, "// lastNumber is the highest number in the table but for arm's private ones.\nconst lastNumber = %d\n\n", most)
	b.WriteString("// callNames are all names, sorted and run together.\nconst callNames = \"\" +\n")
	for i, line := range lines(names) {
		if i > 0 {
			b.WriteString(" +\n")
		}
		fmt.Fprintf(&b, "%q", line)
	}
	b.WriteString("\n\n// callEnds says where in callNames each name ends.\nvar callEnds = [callCount]uint16{")
	end := 0
	for i, name := range names {
		end += len(name)
		sep := " "
		if i%16 == 0 {
			sep = "\n"
		}
		fmt.Fprintf(&b, "%s%d,", sep, end)
	}
	b.WriteString("\n}\n\n// callNumbers has a row for each name: x86_64, i386, x32, aarch64, arm.\nvar callNumbers = [callCount][archCount]uint16{\n")
	for _, name := range names {
		b.WriteString("{")
		for _, nr := range table[name] {
			if nr == none {
				b.WriteString("none, ")
			} else {
				fmt.Fprintf(&b, "%d, ", nr)
			}
		}
		fmt.Fprintf(&b, "}, // %s\n", name)
	}
	b.WriteString("}\n")
	return format.Source(b.Bytes())
}

// lines joins names to strings of about a line's length.
func lines(names []string) []string {
	var list []string
	line := ""
	for _, name := range names {
		if len(line)+len(name) > 100 {
			list = append(list, line)
			line = ""
		}
		line += name
	}
	return append(list, line)
}
