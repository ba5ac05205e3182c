package recall

import (
	"bytes"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/rl-run/rl-run/internal/trial"
)

// Whatever happens to a memo's file while starts read it, they start their container: by it, or without.
func TestFileChangesMeanwhile(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	call := []string{"--net=none", "--userns=single", tree, "echo", "here"}
	h.prime(call...)
	memo := h.memos()[0]
	good, err := os.ReadFile(memo)
	must(t, err)
	const page = 4096
	var pages []int // in use; what says that it is a memo comes last
	for at := len(good) - page; at >= 0; at -= page {
		if !bytes.Equal(good[at:at+page], make([]byte, page)) {
			pages = append(pages, at)
		}
	}
	t.Logf("a memo has %d pages", len(pages))
	write := func(f *os.File) {
		must(t, f.Truncate(int64(len(good))))
		for _, at := range pages {
			_, err := f.WriteAt(good[at:at+page], int64(at))
			must(t, err)
		}
		must(t, f.Close())
	}
	put := func() {
		f, err := os.OpenFile(memo+"~", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		must(t, err)
		write(f)
		must(t, os.Rename(memo+"~", memo))
	}
	for name, change := range map[string]func(){
		"cut off":  func() { _ = os.Truncate(memo, 0) },
		"replaced": put,
		"removed":  func() { _ = os.Remove(memo) },
		"written anew": func() {
			if f, err := os.OpenFile(memo, os.O_WRONLY|os.O_TRUNC, 0); err == nil {
				write(f)
			}
		},
	} {
		stop := make(chan struct{})
		var changes sync.WaitGroup
		changes.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				put()
				time.Sleep(2 * time.Millisecond)
				change()
			}
		})
		for range trial.Mass(200) {
			if r := h.run(call...); r.Code != 0 || r.Stdout != "here\n" || r.Stderr != "" {
				t.Errorf("%s: %+v", name, r)
				break
			}
		}
		close(stop)
		changes.Wait()
	}
	put()
	h.recalls(call...).OK(t)
}

// Where the file system of the runtime directory is full, starts go on: by the memos that there are, and without where none can be
// written.
func TestFullFileSystem(t *testing.T) {
	h, tree := newHost(t), trial.Tree(t, "busybox")
	const script = `set -e
		mount -t tmpfs -o size=2m,mode=700 none "$XDG_RUNTIME_DIR"
		memos() { ls "$XDG_RUNTIME_DIR/rl-run/starts" 2>/dev/null | wc -l; }
		run() { setpriv --bounding-set=-setuid,-setgid "$0" --net=none --userns=single "$@"; }
		for i in $(seq 200); do run "$1" true; [ "$(memos)" = 0 ] || break; sleep 0.1; done
		[ "$(memos)" = 1 ]
		cat /dev/zero >"$XDG_RUNTIME_DIR/fill" 2>/dev/null || :
		strace -qq -o "$2" -e trace=rt_sigaction,clone3 setpriv --bounding-set=-setuid,-setgid "$0" --net=none --userns=single "$1" echo by it
		for i in $(seq 20); do run "$1" echo again; done
		rm "$XDG_RUNTIME_DIR"/rl-run/starts/*
		cat /dev/zero >>"$XDG_RUNTIME_DIR/fill" 2>/dev/null || :
		for i in $(seq 3); do run "$1" echo without; done
		memos`
	trace := t.TempDir() + "/trace"
	r := trial.Command{
		Path: trial.NeedTool(t, "unshare"), Env: h.env(),
		Args: []string{"-rm", "sh", "-c", script, trial.Bin(t, "rl-run"), tree, trace},
	}.Run(t)
	want := "by it\n" + string(bytes.Repeat([]byte("again\n"), 20)) + string(bytes.Repeat([]byte("without\n"), 3)) + "0"
	if got := r.OK(t); got != want || r.Stderr != "" {
		t.Errorf("%q, want %q, stderr %q", got, want, r.Stderr)
	}
	text, err := os.ReadFile(trace)
	must(t, err)
	if before, _, started := bytes.Cut(text, []byte("CLONE_NEWUSER")); !started || bytes.Contains(before, []byte("rt_sigaction(SIGHUP, NULL")) {
		t.Errorf("not by memo: %s", text)
	}
}
