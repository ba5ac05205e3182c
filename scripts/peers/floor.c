// The floor of a start: what rl-run asks of the kernel for `rl-run --userns=single --net=none --read-only --security-opt
// seccomp=unconfined --security-opt unmask=ALL ROOTFS COMMAND`, from static C that decides nothing and looks at nothing.
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>


int mount(const char *, const char *, const char *, unsigned long, const void *);
int umount2(const char *, int);

static void must(const char *what, long result)
{
	if (result < 0)
		err(125, "%s", what);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	must(path, fd);
	must(path, write(fd, text, strlen(text)));
	close(fd);
}

// A bind of FROM on TO, with attributes.
static void attach(int from, const char *path, int to, const char *target, unsigned long set, unsigned flags)
{
	int tree = syscall(SYS_open_tree, from, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags);
	must(path, tree);
	struct mount_attr attr = {.attr_set = set};
	must("mount_setattr", syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &attr, sizeof attr));
	must(target, syscall(SYS_move_mount, tree, "", to, target, MOVE_MOUNT_F_EMPTY_PATH));
	close(tree);
}

static void loopback(void)
{
	struct ifreq request = {.ifr_name = "lo"};
	int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	must("socket", s);
	must("get flags of lo", ioctl(s, SIOCGIFFLAGS, &request));
	request.ifr_flags |= IFF_UP;
	must("set lo up", ioctl(s, SIOCSIFFLAGS, &request));
	close(s);
}

static void drop(void)
{
	for (int c = 0; c <= 40; c++)
		if (!(0x800405fbULL >> c & 1))
			prctl(PR_CAPBSET_DROP, c);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = 0x800405fb, .permitted = 0x800405fb}};
	must("capset", syscall(SYS_capset, &header, data));
	must("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void root(const char *tree)
{
	static const char *const nodes[] = {"null", "zero", "full", "random", "urandom", "tty"};
	static const char *const links[][2] = {{"/proc/self/fd", "dev/fd"}, {"/proc/self/fd/0", "dev/stdin"},
		{"/proc/self/fd/1", "dev/stdout"}, {"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"},
		{"/proc/kcore", "dev/core"}};
	static const char *const files[] = {"hosts", "hostname", "resolv.conf"};
	char from[64], to[64];

	must("private", mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must("stage", mount("stage", "/proc/driver", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700"));
	int stage = open("/proc/driver", O_PATH | O_CLOEXEC);
	must("mkdir", mkdirat(stage, "root", 0755));
	attach(AT_FDCWD, tree, stage, "root", MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, AT_RECURSIVE);
	must("chdir", fchdir(stage));
	for (int i = 0; i < 3; i++)
		put(files[i], "127.0.0.1 localhost\n");
	must("chdir", chdir("root"));
	must("proc", mount("proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	must("dev", mount("tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=0755,size=64k"));
	for (int i = 0; i < 6; i++) {
		snprintf(from, sizeof from, "/dev/%s", nodes[i]);
		snprintf(to, sizeof to, "dev/%s", nodes[i]);
		must("mknod", mknod(to, S_IFREG | 0644, 0));
		attach(AT_FDCWD, from, AT_FDCWD, to, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, 0);
	}
	for (int i = 0; i < 6; i++)
		must("symlink", symlink(links[i][0], links[i][1]));
	must("mkdir", mkdir("dev/pts", 0755) | mkdir("dev/shm", 0755) | mkdir("dev/mqueue", 0755));
	must("devpts", mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620"));
	must("shm", mount("shm", "dev/shm", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=1777,size=64m"));
	must("mqueue", mount("mqueue", "dev/mqueue", "mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	for (int i = 0; i < 3; i++) {
		snprintf(to, sizeof to, "etc/%s", files[i]);
		attach(stage, files[i], AT_FDCWD, to, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0);
	}
	must("sys", mount("sysfs", "sys", "sysfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	must("cgroup", mount("cgroup2", "sys/fs/cgroup", "cgroup2", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
	must("pivot_root", syscall(SYS_pivot_root, ".", "."));
	must("detach", umount2(".", 2));
	must("chdir", chdir("/"));
	close(stage);
}

int main(int argc, char **argv)
{
	static char *const env[] = {"PATH=/bin", "HOME=/root", "container=floor", NULL};
	char uids[32], gids[32];
	int status;

	if (argc < 3)
		errx(125, "usage: floor ROOTFS COMMAND [ARG...]");
	snprintf(uids, sizeof uids, "0 %u 1", geteuid());
	snprintf(gids, sizeof gids, "0 %u 1", getegid());
	pid_t init = syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	must("clone", init);
	if (init == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		put("/proc/self/setgroups", "deny");
		put("/proc/self/uid_map", uids);
		put("/proc/self/gid_map", gids);
		must("setresuid", setresgid(0, 0, 0) | setresuid(0, 0, 0));
		umask(0);
		must("unshare", unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP | CLONE_NEWNET));
		loopback();
		must("sethostname", sethostname("floor", 5));
		root(argv[1]);
		pid_t command = vfork();
		must("vfork", command);
		if (command == 0) {
			setsid();
			umask(022);
			drop();
			execve(argv[2], argv + 2, env);
			_exit(127);
		}
		drop();
		while (waitpid(-1, &status, 0) != command)
			;
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	}
	must("wait", waitpid(init, &status, 0));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
