package sigpipe

// The kernel demands a restorer on amd64.
const saFlags = saRestorer
