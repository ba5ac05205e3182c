// Package nest runs rl-run inside of others: bubblewrap, podman, a chroot. In a container of rl-run, in a sandbox of unshare(1)
// and below seccomp filters it runs in test/run.
package nest
