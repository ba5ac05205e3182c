// Numbers of system calls: arch/x86/entry/syscalls/syscall_64.tbl of Linux.

#define SYS_read 0
#define SYS_close 3
#define SYS_rt_sigaction 13
#define SYS_rt_sigprocmask 14
#define SYS_recvmsg 47
#define SYS_clone 56
#define SYS_execve 59
#define SYS_wait4 61
#define SYS_kill 62
#define SYS_fcntl 72
#define SYS_chdir 80
#define SYS_setsid 112
#define SYS_prctl 157
#define SYS_clock_gettime 228
#define SYS_exit_group 231
#define SYS_openat 257
#define SYS_ppoll 271
#define SYS_signalfd4 289
#define SYS_dup3 292
