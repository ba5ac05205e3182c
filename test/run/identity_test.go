package run

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// words puts all blanks of a text as one.
func words(text string) string { return strings.Join(strings.Fields(text), " ") }

func TestIDMaps(t *testing.T) {
	begin(t)
	uid, gid := os.Getuid(), os.Getgid()
	maps := func(options ...string) string {
		return words(inside(t, "cat /proc/self/uid_map; echo /; cat /proc/self/gid_map; echo /; cat /proc/self/setgroups", options...))
	}
	auto := maps()
	holds(t, "default map", auto, fmt.Sprintf("0 %d 1 1 ", uid), fmt.Sprintf("/ 0 %d 1 1 ", gid), "/ allow")
	want(t, "--userns=auto", maps("--userns=auto"), auto)
	want(t, "--userns=single", maps("--userns=single"), fmt.Sprintf("0 %d 1 / 0 %d 1 / deny", uid, gid))
	var sub [2]int // the first subordinate uid and gid
	fields := strings.Fields(auto)
	if _, err := fmt.Sscan(fields[4]+" "+fields[11], &sub[0], &sub[1]); err != nil {
		t.Fatalf("%v in %q", err, auto)
	}
	want(t, "--uidmap and --gidmap", maps(
		"--uidmap", fmt.Sprintf("0:%d:1", uid), "--uidmap", fmt.Sprintf("7:%d:3", sub[0]+10),
		"--gidmap", fmt.Sprintf("0:%d:1", gid), "--gidmap", fmt.Sprintf("9:%d:2", sub[1])),
		fmt.Sprintf("0 %d 1 7 %d 3 / 0 %d 1 9 %d 2 / allow", uid, sub[0]+10, gid, sub[1]))
}

func TestKeepID(t *testing.T) {
	tree := begin(t)
	dir := t.TempDir()
	want(t, "ids", inside(t, "id -u; id -g; touch /bound/file; id -u root", "--userns=keep-id", "-v", dir+":/bound"),
		fmt.Sprintf("%d\n%d\n0", os.Getuid(), os.Getgid()))
	var st unix.Stat_t
	if err := unix.Stat(dir+"/file", &st); err != nil {
		t.Fatal(err)
	}
	if int(st.Uid) != os.Getuid() || int(st.Gid) != os.Getgid() {
		t.Errorf("the file belongs to %d:%d", st.Uid, st.Gid)
	}
	want(t, "-u root with keep-id", inside(t, "id -u; touch /tmp/x /root/x; stat -c %u:%g /bin/sh", "--userns=keep-id", "-u", "root"),
		fmt.Sprintf("0\n%d:%d", os.Getuid(), os.Getgid()))
	trial.Run(t, "--userns=host", tree, "true").Fails(t, 125, "--userns host", "rl-run: hint: --userns=keep-id")
}

// The owner of files that root of the container makes is the caller.
func TestRootIsTheCaller(t *testing.T) {
	begin(t)
	dir := t.TempDir()
	for _, mode := range []string{"--userns=auto", "--userns=single"} {
		inside(t, "touch /bound/"+mode, mode, "-v", dir+":/bound")
		var st unix.Stat_t
		if err := unix.Stat(dir+"/"+mode, &st); err != nil {
			t.Fatal(err)
		}
		if int(st.Uid) != os.Getuid() || int(st.Gid) != os.Getgid() {
			t.Errorf("%s: the file belongs to %d:%d", mode, st.Uid, st.Gid)
		}
	}
}

func TestUser(t *testing.T) {
	begin(t)
	tree := trial.NewTree(t)
	write(t, tree+"/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1001:Ada:/home/ada:/bin/ash\n")
	write(t, tree+"/etc/group", "root:x:0:\nada:x:1001:\naudio:x:29:ada,root\nextra:x:77:\n")
	for _, c := range []struct{ options, id string }{
		{"", "0 0 0 29 root /root"},
		{"-u ada", "1000 1001 1001 29 ada /home/ada"},
		{"-u ada:audio", "1000 29 29 ada /home/ada"},
		{"-u 1000", "1000 1001 1001 29 ada /home/ada"},
		{"-u 1000:5", "1000 5 5 ada /home/ada"},
		{"-u 4000", "4000 0 0 /"},
		{"-u ada --group-add extra --group-add 78", "1000 1001 1001 29 77 78 ada /home/ada"},
	} {
		text := "id -u; id -g; id -G; echo $USER $HOME"
		got := words(trial.Run(t, script(strings.Fields(c.options), tree, text)...).OK(t))
		if c.options == "" { // supplementary groups of root are dropped
			c.id = "0 0 0 root /root"
		}
		want(t, "ids for "+c.options, got, c.id)
	}
	trial.Run(t, "-u", "grace", tree, "true").Fails(t, 125, "rl-run: error: -u grace")
	trial.Run(t, "-u", "ada:no-such", tree, "true").Fails(t, 125, "rl-run: error: -u ada:no-such")
	trial.Run(t, "-u", "99999", tree, "true").Fails(t, 125, "99999")
	trial.Run(t, "--userns=single", "-u", "ada", tree, "true").Fails(t, 125, "1000", "rl-run: hint: ")
	want(t, "the user's shell", trial.Command{
		Args: []string{"--quiet", "-u", "ada", tree}, Stdin: trial.StdinText("echo $0; id -un"),
	}.Run(t).OK(t), "/bin/ash\nada")
}

// Root of the container may use all its ids.
func TestManyIDs(t *testing.T) {
	tree := begin(t)
	inside(t, `set -e
		touch /tmp/a; chown 1000:1000 /tmp/a; [ $(stat -c %u:%g /tmp/a) = 1000:1000 ]
		chown 65534:65534 /tmp/a; mkdir /tmp/d; chown -R 33 /tmp/d
		[ $(stat -c %u /tmp/d) = 33 ]`)
	trial.Run(t, script([]string{"--userns=single"}, tree, "touch /tmp/a; chown 1000 /tmp/a")...).Fails(t, 1, "Invalid argument")
}

// Helpers join the container's user namespace as the caller, who need not be root there, nor anybody.
func TestNetworkOfAnotherRoot(t *testing.T) {
	begin(t)
	trial.NeedTool(t, "slirp4netns")
	lines := strings.Fields(inside(t, "cat /proc/self/uid_map /proc/self/gid_map"))
	uid, gid := lines[4], lines[10] // the first subordinate ones
	for _, options := range [][]string{
		{"--userns=keep-id"},
		{"--uidmap=0:" + uid + ":1000", "--gidmap=0:" + gid + ":1000"},
	} {
		options = append(options, "--net=slirp4netns", "-p", "127.0.0.1::80")
		want(t, strings.Join(options, " "), inside(t, "ls /sys/class/net; ip -o -4 addr show dev eth0 | wc -l", options...), "eth0\nlo\n1")
	}
}
