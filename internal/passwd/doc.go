// Package passwd answers who `-u USER[:GROUP]` is, out of the passwd and group
// files of a root file system.
//
// Those files belong to the container and are not trusted: only regular files
// of at most [Limit] bytes are read, a line that is not well formed is passed
// over, and no name out of them reaches a message unless it is made of plain
// letters. Nothing is kept: each question is one pass over the bytes, for a
// launcher asks one or two of them and ends.
//
// The formats are those of passwd(5) and group(5). Only the files count; no
// name service is asked, because the container's would have to run first.
package passwd
