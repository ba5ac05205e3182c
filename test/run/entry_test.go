package run

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

// TestEntry: rl-run is entered before Go's runtime, which otherwise would be the slower (internal/entry).
func TestEntry(t *testing.T) {
	trial.NeedUser(t)
	file, err := elf.Open(trial.Bin(t, "rl-run"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if file.Machine != elf.EM_X86_64 {
		return // there it begins as all programs of Go do
	}
	data := make([]byte, 3)
	for _, s := range file.Progs {
		if s.Type == elf.PT_LOAD && s.Vaddr <= file.Entry && file.Entry < s.Vaddr+s.Filesz {
			if _, err := s.ReadAt(data, int64(file.Entry-s.Vaddr)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if want := "\x48\x89\xe3"; string(data) != want { // mov rbx, rsp: Start's first instruction
		t.Errorf("the first instruction is % x, want % x: linked without -E?", data, want)
	}
}

// TestProcessors: what the launcher keeps to itself while it starts a container is the caller's again in there: its
// processors, the slack of its timers.
func TestProcessors(t *testing.T) {
	tree := begin(t)
	const show = awaitInit + `grep Cpus_allowed: /proc/self/status /proc/1/status | sed 's/.*://'; cat /proc/self/timerslack_ns`
	as := func(prefix string, options ...string) string {
		t.Helper()
		words := append([]string{"-c", strings.TrimPrefix(prefix+` "$@"`, " "), "sh", trial.Bin(t, "rl-run")}, script(options, tree, show)...)
		return trial.Command{Path: "/bin/sh", Args: words}.Run(t).OK(t)
	}
	mine := allowed(t, os.Getpid())
	want(t, "all processors", as("exec"), "\t"+mine+"\n\t"+mine+"\n50000")
	want(t, "with one id", as("exec", "--userns=single"), "\t"+mine+"\n\t"+mine+"\n50000")
	time.Sleep(2 * time.Second) // from now on by memo
	for range 5 {
		want(t, "by memo", as("exec"), "\t"+mine+"\n\t"+mine+"\n50000")
		want(t, "by memo, with one id", as("exec", "--userns=single"), "\t"+mine+"\n\t"+mine+"\n50000")
	}
	want(t, "with a filter of its own", as("exec", "--security-opt", "seccomp=unconfined"), "\t"+mine+"\n\t"+mine+"\n50000")
	one := as("exec taskset 1 ")
	if got := strings.Fields(one); len(got) != 3 || strings.Trim(got[0], "0,") != "1" || got[0] != got[1] {
		t.Errorf("of a caller who may use processor 0 only: %q", one)
	}
}

// TestLauncherWaitsEverywhere: once it waits, rl-run is on all processors again, in each of its threads.
func TestLauncherWaitsEverywhere(t *testing.T) {
	tree := begin(t)
	mine := allowed(t, os.Getpid())
	for name, options := range map[string][]string{"static": nil, "Go": {"--rw"}} {
		t.Run(name, func(t *testing.T) {
			root := tree
			if len(options) > 0 {
				root = trial.NewTree(t)
				if err := os.Remove(root + "/sys"); err != nil { // a mount point to be removed at the end keeps Go there
					t.Fatal(err)
				}
			}
			r := trial.Command{Args: script(options, root, "echo up; exec sleep 60"), Timeout: time.Minute}.Start(t)
			r.Stdout("up")
			deadline := time.Now().Add(10 * time.Second)
			for {
				threads, err := filepath.Glob("/proc/" + strconv.Itoa(r.Pid) + "/task/*")
				if err != nil || len(threads) == 0 {
					t.Fatalf("threads of %d: %v %v", r.Pid, threads, err)
				}
				narrow := 0
				for _, thread := range threads {
					if tid, _ := strconv.Atoi(filepath.Base(thread)); allowed(t, tid) != mine {
						narrow++
					}
				}
				if narrow == 0 {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d threads keep to fewer processors than %s", narrow, len(threads), mine)
				}
				time.Sleep(20 * time.Millisecond)
			}
			r.Signal(15)
			r.Wait()
		})
	}
}

// allowed is the mask of processors of a thread; empty once it has ended.
func allowed(t *testing.T, tid int) string {
	t.Helper()
	status, err := os.ReadFile("/proc/" + strconv.Itoa(tid) + "/status")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(status)) {
		if mask, is := strings.CutPrefix(line, "Cpus_allowed:"); is {
			return strings.TrimSpace(mask)
		}
	}
	return ""
}
