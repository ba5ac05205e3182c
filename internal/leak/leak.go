package leak

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Kind says what sort of thing leaked.
type Kind string

// The kinds, in the order in which they are reported: a process usually
// explains the rest.
const (
	Process   Kind = "process"
	Namespace Kind = "namespace"
	Mount     Kind = "mount"
	Link      Kind = "link"
	Address   Kind = "address"
	Rule      Kind = "rule" // a tc queueing discipline or filter, an nftables table, chain or rule
	Cgroup    Kind = "cgroup"
	File      Kind = "file"
	FD        Kind = "fd"
)

// Leak is one thing that is not as it was.
type Leak struct {
	Kind   Kind
	Name   string // what identifies it: a pid with its start time, "net:[4026532008]", a path
	Detail string // what helps to find its origin: state, owner and command line, or the holders
	Gone   bool   // it was there before and is missing now; only mounts, links and addresses
}

// String is one line, without the kind's name doubled.
func (l Leak) String() string {
	s := string(l.Kind) + " " + l.Name
	if l.Gone {
		s += " is gone"
	}
	if l.Detail != "" {
		s += ": " + l.Detail
	}
	return s
}

// Patience is how long Check lets things go away by themselves: 2 s, and more on a slow
// machine. The kernel dismantles a net namespace from a work queue, 15 to 40 ms after its end.
var Patience = Slow(2 * time.Second)

// Slow is how long something may take here that may take d on a usual machine: RLRUN_SLOW
// times that, for machines that are emulated.
func Slow(d time.Duration) time.Duration {
	times, _ := strconv.Atoi(os.Getenv("RLRUN_SLOW"))
	return d * time.Duration(max(times, 1))
}

// An Option widens or narrows what is looked at.
type Option func(*scope)

// Paths adds file name patterns, in the syntax of path/filepath.Match. What a
// pattern matches, and all that lies below, must be as before. Always looked at
// are rl-run below the runtime directory and rl-run* in the temporary ones.
func Paths(patterns ...string) Option {
	return func(s *scope) { s.paths = append(s.paths, patterns...) }
}

// Except leaves out the leaks for which f is true, for what the machine around
// the test may change at any moment.
func Except(f func(Leak) bool) Option {
	return func(s *scope) { s.except = append(s.except, f) }
}

// WholeUser looks at every process of the caller's uid and of its subordinate
// ids, not at the descendants of the tests alone. It finds what a service
// manager started on behalf of a test, and is confused by anything else that
// the user runs.
func WholeUser() Option {
	return func(s *scope) { s.wholeUser = true }
}

// scope is where the listers look.
type scope struct {
	top       int // the supervisor: everything below it belongs to the tests
	self      int
	paths     []string
	except    []func(Leak) bool
	wholeUser bool
	cgroups   []string // directories below which control groups are listed
}

// A lister names all things of one kind that exist now. The keys identify, the
// values describe.
type lister struct {
	kind Kind
	list func(*scope) (map[string]string, error)
	// gone makes a thing that vanished a leak too: an unmount on the host or a
	// removed link is no less serious than a forgotten one.
	gone bool
}

var listers = [...]lister{
	{kind: Process, list: listProcesses},
	{kind: Namespace, list: listNamespaces},
	{kind: Mount, list: listMounts, gone: true},
	{kind: Link, list: listLinks, gone: true},
	{kind: Address, list: listAddresses, gone: true},
	{kind: Rule, list: listRules},
	{kind: Cgroup, list: listCgroups},
	{kind: File, list: listFiles},
	{kind: FD, list: listFDs},
}

// Before is the state that a test must restore.
type Before struct {
	scope scope
	had   [len(listers)]map[string]string
}

// Snapshot records what there is. It fails the test when the tests do not run
// under the supervisor, see Tests.
func Snapshot(tb testing.TB, opts ...Option) *Before {
	tb.Helper()
	if supervisor == 0 {
		tb.Fatal("leak: the tests do not run under leak.Tests: call it in TestMain")
	}
	b := &Before{scope: scope{top: supervisor, self: os.Getpid()}}
	b.scope.paths = append(b.scope.paths, statePaths()...)
	for _, o := range opts {
		o(&b.scope)
	}
	if b.scope.cgroups == nil {
		roots, err := cgroupRoots()
		if err != nil {
			tb.Fatalf("leak: %v", err)
		}
		b.scope.cgroups = roots
	}
	if err := startPoller(); err != nil {
		tb.Fatalf("leak: %v", err)
	}
	for i, l := range listers {
		var err error
		if b.had[i], err = l.list(&b.scope); err != nil {
			tb.Fatalf("leak: list %s: %v", l.kind, err)
		}
	}
	return b
}

// Since lists what is not as before at this moment. The error is of the listing.
func (b *Before) Since() ([]Leak, error) {
	var leaks []Leak
	for i, l := range listers {
		have, err := l.list(&b.scope)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", l.kind, err)
		}
		var found []Leak
		for name, detail := range have {
			if _, ok := b.had[i][name]; !ok {
				found = append(found, Leak{Kind: l.kind, Name: name, Detail: detail})
			}
		}
		if l.gone {
			for name, detail := range b.had[i] {
				if _, ok := have[name]; !ok {
					found = append(found, Leak{Kind: l.kind, Name: name, Detail: detail, Gone: true})
				}
			}
		}
		slices.SortFunc(found, func(x, y Leak) int { return strings.Compare(x.Name, y.Name) })
		for _, f := range found {
			if !slices.ContainsFunc(b.scope.except, func(except func(Leak) bool) bool { return except(f) }) {
				leaks = append(leaks, f)
			}
		}
	}
	return leaks, nil
}

// Wait polls Since until nothing is left to report, for as long as within at most,
// and returns what remains.
func (b *Before) Wait(within time.Duration) ([]Leak, error) {
	for end, pause := time.Now().Add(within), time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		leaks, err := b.Since()
		if err != nil || len(leaks) == 0 || time.Now().After(end) {
			return leaks, err
		}
		time.Sleep(pause)
	}
}

// Check fails the test with a list of all that is not as before and does not
// become so within Patience.
func Check(tb testing.TB, before *Before) {
	tb.Helper()
	leaks, err := before.Wait(Patience)
	if err != nil {
		tb.Errorf("leak: %v", err)
		return
	}
	if len(leaks) == 0 {
		return
	}
	var b strings.Builder
	for _, l := range leaks {
		b.WriteString("\n\t" + l.String())
	}
	tb.Errorf("not as before within %v:%s", Patience, b.String())
}

// Watch takes a snapshot and checks it when the test and all clean-ups that it
// registered later have ended.
func Watch(tb testing.TB, opts ...Option) {
	tb.Helper()
	before := Snapshot(tb, opts...)
	tb.Cleanup(func() { tb.Helper(); Check(tb, before) })
}

// statePaths are the places where rl-run keeps state or puts temporary files.
func statePaths() []string {
	paths := []string{
		filepath.Join("/run/user", strconv.Itoa(os.Getuid()), "rl-run"),
		"/tmp/rl-run*",
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		paths = append(paths, filepath.Join(dir, "rl-run"))
	}
	if dir := os.TempDir(); dir != "/tmp" {
		paths = append(paths, filepath.Join(dir, "rl-run*"))
	}
	return paths
}
