package run

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/internal/trial"
)

// lookPTY opens a pseudo-terminal, as script(1) or sshd would, and returns the slave's path
// with what comes through it.
func lookPTY() (string, error) {
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: "/dev/ptmx", Err: err}
	}
	if err := unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0); err != nil {
		return "", os.NewSyscallError("ioctl", err)
	}
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	if err != nil {
		return "", os.NewSyscallError("ioctl", err)
	}
	path := fmt.Sprintf("/dev/pts/%d", n)
	slave, err := unix.Open(path, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &os.PathError{Op: "open", Path: path, Err: err}
	}
	if _, err := unix.Write(slave, []byte("through")); err != nil {
		return "", os.NewSyscallError("write", err)
	}
	buf := make([]byte, 64)
	got, err := unix.Read(master, buf)
	if err != nil {
		return "", os.NewSyscallError("read", err)
	}
	var st unix.Stat_t
	if err := unix.Fstat(slave, &st); err != nil {
		return "", os.NewSyscallError("fstat", err)
	}
	return fmt.Sprintf("%s %s owner %d:%d", path, buf[:got], st.Uid, st.Gid), nil
}

// lookMessageQueue makes a POSIX message queue and sees its name in /dev/mqueue.
func lookMessageQueue() error {
	name, err := unix.BytePtrFromString("rl-run-test")
	if err != nil {
		return err
	}
	if _, _, errno := unix.Syscall6(unix.SYS_MQ_OPEN, uintptr(unsafe.Pointer(name)), unix.O_CREAT|unix.O_RDWR, 0o600, 0, 0, 0); errno != 0 {
		return os.NewSyscallError("mq_open", errno)
	}
	_, err = os.Stat("/dev/mqueue/rl-run-test")
	return err
}

func TestDev(t *testing.T) {
	tree := begin(t)
	want(t, "entries of /dev", strings.Join(strings.Fields(inside(t, "ls /dev")), " "),
		"core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero")
	got := inside(t, `set -e
		echo x >/dev/null; head -c 4 /dev/zero | wc -c; head -c 4 /dev/random | wc -c; head -c 4 /dev/urandom | wc -c
		cat /dev/null | wc -c; (echo x >/dev/full) 2>/dev/null || echo full
		for n in null zero full random urandom tty; do stat -c '%F %t:%T' /dev/$n; done
		echo to-stdout >/dev/stdout; echo fd | cat /dev/stdin; touch /dev/shm/x; stat -c %a /dev/shm`)
	want(t, "devices", got, strings.Join([]string{
		"4", "4", "4", "0", "full",
		"character special file 1:3", "character special file 1:5", "character special file 1:7",
		"character special file 1:8", "character special file 1:9", "character special file 5:0",
		"to-stdout", "fd", "1777",
	}, "\n"))
	trial.Run(t, script(nil, tree, "mknod /x b 8 0")...).Fails(t, 1, "mknod")
	want(t, "tty without a terminal", inside(t, "cat /dev/tty 2>/dev/null; echo $?"), "1")
}

func TestPseudoTerminals(t *testing.T) {
	begin(t)
	for options, tty := range map[string]string{
		"": "5", "--userns=single": "0", "-u nobody": "5", "--read-only": "5", "--copy": "5",
	} {
		uid := "0"
		if strings.Contains(options, "nobody") {
			uid = "65534"
		}
		got := probed[string](t, "pty", strings.Fields(options))
		want(t, options+": pty", got, "/dev/pts/0 through owner "+uid+":"+tty)
	}
}

func TestMessageQueues(t *testing.T) {
	begin(t)
	want(t, "message queue", probed[string](t, "mqueue", nil), "ok")
	if entries, err := os.ReadDir("/dev/mqueue"); err == nil {
		for _, e := range entries {
			if e.Name() == "rl-run-test" {
				t.Error("the container's queue is in the host's ipc namespace")
			}
		}
	}
}

func TestDeviceOption(t *testing.T) {
	tree := begin(t)
	got := inside(t, "echo x >/dev/mine; head -c 3 /dev/mine | wc -c; head -c 3 /dev/sub/zero | wc -c; stat -c %t:%T /dev/null",
		"--device", "/dev/null:/dev/mine", "--device", "/dev/zero:/dev/sub/zero")
	want(t, "devices", got, "0\n3\n1:3")
	trial.Run(t, "--device", "/etc/passwd:/dev/x", tree, "true").Fails(t, 125, "/etc/passwd")
	trial.Run(t, "--device", "/dev/no-such", tree, "true").Fails(t, 125, "/dev/no-such")
}
