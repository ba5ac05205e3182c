// What both guards call by the same name. The kernel's constants are those of linux/include/uapi.

#define EINTR 4
#define SIGKILL 9
#define SIGCHLD 17
#define SIG_SETMASK 2
#define PR_SET_PDEATHSIG 1
#define PR_SET_NAME 15
#define F_SETFD 2
#define FD_CLOEXEC 1
#define AT_FDCWD -100
#define POLLIN 1
#define CLOCK_MONOTONIC 1
#define WALL_WNOHANG 0x40000001
#define MSG_CMSG_CLOEXEC 0x40000000
// length of a message with one descriptor, CMSG_LEN(4), and of the room for it
#define ONE_FD 20
#define ONE_FD_SPACE 24
// SFD_CLOEXEC|SFD_NONBLOCK
#define SIGNALFD_FLAGS 0x80800
// O_RDWR|O_CLOEXEC
#define NULL_FLAGS 0x80002
// O_RDONLY|O_CLOEXEC|O_NONBLOCK
#define READ_FLAGS 0x80800

// nanoseconds
#define SECOND 1000000000
#define SHORTEST 100000000
#define LONGEST SECOND
#define LONG_LIFE 10000000000

// seconds between two looks at the file that is followed
#define BETWEEN 2
// how much of it counts, in bytes: that many lie below the frame
#define TEXT_SIZE 4096
// the multiplier of its sum, FNV-1a's of 64 bits
#define PRIME 0x100000001b3
