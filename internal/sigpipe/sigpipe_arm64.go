package sigpipe

// On arm64 the vDSO has the restorer.
const saFlags = 0
