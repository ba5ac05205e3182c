// Package mountspec reads what -v, --mount, --tmpfs and --device ask for.
//
// It is pure: it looks at words and touches no file, so whether a source exists
// is for the caller to see. The words are those of docker and podman. What
// differs is strictness: an option that is unknown, given twice, contradicted
// by another, or that a launcher without privilege cannot honour is an error
// that says so, and never passed over.
//
// What holds for every mount, and therefore needs no field: binds are nosuid
// and nodev, and their read-only flag reaches the mounts below; so are nosuid
// and nodev of a tmpfs. A destination is absolute and cleaned as text, ".." and
// all, the way docker does; symbolic links in the root are resolved when it is
// mounted.
package mountspec
