package run

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

func TestCopyIsATmpfsOfItsSize(t *testing.T) {
	tree := begin(t)
	got := trial.Run(t, "--quiet", "--copy", "--size", "50m", tree, "df", "-h", "/").OK(t)
	fields := strings.Fields(strings.Split(got, "\n")[1])
	if fields[1] != "50.0M" || fields[5] != "/" {
		t.Errorf("df shows %q", got)
	}
	want(t, "owner and type of the root", inside(t, "id -u; stat -f -c %T /; stat -c %u:%g /; touch /x && echo written", "--copy", "--size", "50m"), "0\ntmpfs\n0:0\nwritten")
	want(t, "a full copy", inside(t, "cat /bin/busybox /bin/busybox >/fill 2>/dev/null || echo full", "--copy", "--size", "3m"), "full")
}

func TestCopyThatDoesNotFit(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	write(t, tree+"/big", strings.Repeat("x", 20<<20))
	start := time.Now()
	trial.Run(t, "--copy", "--size", "10m", tree, "true").Fails(t, 125, "rl-run: error: copy "+tree+": ", "21.9 MiB", "10 MiB", "rl-run: hint: ", "--size")
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("the refusal took %v", took)
	}
}

// Hard links, extended attributes, owners, times, modes and holes come along.
func TestCopyIsFaithful(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	removeMapped(t, tree)
	write(t, tree+"/d/a", "linked")
	if err := os.Link(tree+"/d/a", tree+"/d/b"); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(tree+"/d/a", "user.colour", []byte("blue"), 0); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(tree + "/d/sparse")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	mapped(t, "sh", "-euc", `cd "$1"/d; echo x >owned; chown 1000:1001 owned; chmod 4751 owned; mkdir sub; chown 33:33 sub; chmod 2770 sub
		ln -s nowhere link; chown -h 5:6 link; mkfifo fifo; touch -d '2001-02-03 04:05:06.789' a; touch -d 2002-02-02 sub`, "sh", tree).Run(t).OK(t)
	look := `cd /d; for f in a b sparse owned sub link fifo; do stat -c '%n %F %u:%g %a %h %y' $f; done; stat -c %s a sparse; readlink link; cat a b; stat -c %b sparse; [ a -ef b ] && echo same`
	copied := trial.Run(t, script([]string{"--copy", "--size", "50m"}, tree, look)...).OK(t)
	want(t, "the copy", copied, trial.Run(t, script([]string{"--rw"}, tree, look)...).OK(t))
	holds(t, "the copy", copied, "2001-02-03 04:05:06.789", "owned regular file 1000:1001 4751", "linkedlinked", "same")
	if unix.Access("/usr/bin/getfattr", unix.X_OK) == nil && trial.Run(t, "--quiet", "-v", "/usr:/usr", "-v", "/lib:/lib", "-v", "/lib64:/lib64",
		"--copy", tree, "/usr/bin/getfattr", "-n", "user.colour", "--only-values", "/d/b").OK(t) != "blue" {
		t.Error("the extended attribute is lost")
	}
}

// Progress is for people: on a terminal, and gone in the end.
func TestCopyShowsProgress(t *testing.T) {
	begin(t)
	tree := trial.Tree(t, "debian")
	p := trial.OpenPTY(t)
	p.Start(trial.Command{Args: []string{"--copy", "-t=false", tree, "true"}})
	if code := p.Wait(); code != 0 {
		t.Fatalf("exit code %d\non the screen: %q", code, p.Screen())
	}
	holds(t, "screen", p.Screen(), "copy "+tree+": ", "% of ")
	r := trial.Run(t, "--copy", tree, "true")
	r.OK(t)
	lacks(t, "stderr without a terminal", r.Stderr, "%")
}

// upperInMemory reports whether tmpfs takes user xattrs, as it does from Linux 6.6 on: then an overlay's writes can go to one.
func upperInMemory(t *testing.T) bool {
	t.Helper()
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(name.Release[:]), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 6 || major == 6 && minor >= 6
}

func TestEphemeralSize(t *testing.T) {
	tree := begin(t)
	fill := script([]string{"--size", "2m"}, tree, "cat /bin/busybox /bin/busybox >/fill")
	if upperInMemory(t) {
		trial.Run(t, fill...).Fails(t, 1, "No space left")
	} else { // where the writes go to disk nothing limits them
		trial.Run(t, fill...).Fails(t, 125, "rl-run: error: --size 2097152: before Linux 6.6 writes to the root go to disk", "rl-run: hint: with --copy")
		trial.Run(t, "--copy", "--size", "200m", tree, "true").OK(t)
	}
	trial.Run(t, "--size", "2m", "--rw", tree, "true").Fails(t, 125, "--size")
	trial.Run(t, "--rw", "--copy", tree, "true").Fails(t, 125, "exclude each other")
}

func TestWritesPersist(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	trial.Run(t, script([]string{"--rw"}, tree, "echo kept >/root/file; rm /bin/vi; mkdir -p /new/dir")...).OK(t)
	want(t, "next time", trial.Run(t, script(nil, tree, "cat /root/file; ls /bin/vi 2>/dev/null; ls /new")...).OK(t), "kept\ndir")
	trial.Run(t, script(nil, tree, "rm /root/file")...).OK(t)
	want(t, "after a run without --rw", read(t, tree+"/root/file"), "kept\n")
}

func TestReadOnly(t *testing.T) {
	tree := begin(t)
	trial.Run(t, script([]string{"--read-only"}, tree, "touch /x")...).Fails(t, 1, "Read-only file system")
	trial.Run(t, script([]string{"--read-only"}, tree, "mount -o remount,rw /")...).Fails(t, 1, "mount")
	trial.Run(t, script([]string{"--read-only", "--cap-add=ALL", "--security-opt", "seccomp=unconfined"}, tree,
		"mount -o remount,rw / || touch /x")...).Fails(t, 1)
	want(t, "places that can be written", inside(t, "touch /dev/shm/x && echo shm", "--read-only"), "shm")
}

// What an overlay has to do right: whiteouts and opaque directories.
func TestEphemeralOverlay(t *testing.T) {
	begin(t)
	want(t, "directories made anew", inside(t, `set -e
		rm -r /usr/sbin; mkdir /usr/sbin; ls -A /usr/sbin; rm /etc/passwd; [ ! -e /etc/passwd ]; mv /home /house; ls -d /house
		mv /var /variable; ls /variable; mkdir /var; ls -A /var`), "/house\nlog\nrun\ntmp")
}

// layers is a directory for --keep.
func layers(t *testing.T) string {
	t.Helper()
	dir := t.TempDir() + "/layers"
	removeMapped(t, dir)
	return dir
}

func TestKeptLayer(t *testing.T) {
	tree := begin(t)
	dir := layers(t)
	keep := func(text string, options ...string) string {
		t.Helper()
		return trial.Run(t, script(append(options, "--keep", dir), tree, text)...).OK(t)
	}
	keep("echo kept >/root/file; touch /root/sub; chown 1000:1000 /root/sub; rm -r /etc/passwd /usr/sbin; mkdir /usr/sbin; chmod 700 /mnt")
	want(t, "next time", keep(`cat /root/file; stat -c %u:%g /root/sub; ls -A /usr/sbin; ls /etc/passwd 2>/dev/null; stat -c %a /mnt; stat -c %a:%u:%g /`),
		"kept\n1000:1000\n700\n755:0:0")
	keep("touch /usr/sbin/one")
	want(t, "a directory made anew", keep("ls /usr/sbin"), "one")
	want(t, "without --keep", inside(t, "cat /root/file 2>/dev/null || echo none"), "none")
	want(t, "file system of the writes", keep("df /root | awk 'END { print ($2 > 0) }'"), "1")

	mapped(t, "rm", "-rf", dir).Run(t).OK(t)
	if _, err := os.Lstat(dir); err == nil {
		t.Error("the layers cannot be removed in the id map")
	}
}

func TestKeptLayerIsGuarded(t *testing.T) {
	tree := begin(t)
	dir := layers(t)
	first := trial.Command{Args: script([]string{"--keep", dir}, tree, "echo ready; read x"), Stdin: openPipe(t)}.Start(t)
	first.Stdout("ready")
	trial.Run(t, "--keep", dir, tree, "true").Fails(t, 125, "rl-run: error: ", dir, "in use")
	first.Signal(unix.SIGTERM)
	first.Wait()
	trial.Run(t, "--keep", dir, tree, "true").OK(t)

	other := trial.NewTree(t)
	trial.Run(t, "--keep", dir, other, "true").Fails(t, 125, dir, "another ROOTFS")
	trial.Run(t, "--keep", dir, "--userns=single", tree, "true").Fails(t, 125, dir, "id maps")
	trial.Run(t, "--keep", dir, tree, "true").OK(t)

	full := t.TempDir()
	write(t, full+"/precious", "data")
	trial.Run(t, "--keep", full, tree, "true").Fails(t, 125, full)
	want(t, "what was there", strings.TrimSpace(inTree(t, full)), "precious")
	trial.Run(t, "--keep", dir, "--rw", tree, "true").Fails(t, 125, "--keep")
	trial.Run(t, "--keep", full+"/no/such", tree, "true").Fails(t, 125, full+"/no/such")
}

// A container that can write to where the layers of others are puts links there, to what it was not given. With or without that, the
// kept layer is a directory of rl-run's.
func TestKeptLayerOnLinks(t *testing.T) {
	tree := begin(t)
	for _, name := range []string{"upper", "work"} {
		for form, target := range map[string]string{"absolute": "", "relative": "../../../../../../../.."} {
			shared, o := t.TempDir(), newOutside(t)
			dir := shared + "/layers"
			removeMapped(t, dir)
			trial.Run(t, "--keep", dir, tree, "true").OK(t)
			attack := fmt.Sprintf("cd /shared/layers; mv %s other; ln -s %s %[1]s", name, target+o.dir)
			trial.Run(t, script([]string{"-v", shared + ":/shared"}, tree, attack)...).OK(t)
			trial.Run(t, script([]string{"--keep", dir}, tree, "echo owned >/file; echo new >/new; cat /resolv.conf")...).
				Fails(t, 125, "rl-run: error: ", dir+"/"+name, "link")
			o.untouched(t, fmt.Sprintf("%s is a link (%s)", name, form))
			if err := errors.Join(os.Remove(dir+"/"+name), os.Rename(dir+"/other", dir+"/"+name)); err != nil {
				t.Fatal(err)
			}
			trial.Run(t, "--keep", dir, tree, "true").OK(t)
		}
	}
}

// A container that was killed gives its layer back to the next one.
func TestKeptLayerAfterAKill(t *testing.T) {
	tree := begin(t)
	dir := layers(t)
	r := trial.Command{Args: script([]string{"--keep", dir}, tree, "echo one >/root/file; sync; echo ready; sleep 1000")}.Start(t)
	r.Stdout("ready")
	r.Signal(unix.SIGKILL)
	r.Wait()
	var got trial.Result
	for range 20 { // the kernel takes the container down behind the launcher's end
		if got = trial.Run(t, script([]string{"--keep", dir}, tree, "cat /root/file")...); got.Code == 0 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	want(t, "the file of the killed container", got.OK(t), "one")
	// what is listed of it goes with the next look, which a start as short as these does not take
	trial.Command{Path: trial.Bin(t, "rl-ps")}.Run(t).OK(t)
}

// Layers of many starts beside each other do not mix.
func TestStartsSideBySide(t *testing.T) {
	tree := begin(t)
	var all []*trial.Running
	for i := range 8 {
		all = append(all, trial.Command{Args: script(nil, tree, fmt.Sprintf("echo %d >/root/n; sleep 0.1; cat /root/n; echo $$", i))}.Start(t))
	}
	for i, r := range all {
		want(t, "output", r.Wait().OK(t), fmt.Sprintf("%d\n2", i))
	}
}
