// Package rootfs decides what the tree of a container is made of: where its root
// comes from, which filesystems, devices, masks, files and binds are mounted in
// it. Look functions read the host; all others are pure and return steps.
package rootfs
