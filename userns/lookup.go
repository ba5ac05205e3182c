package userns

import (
	"errors"
	"io/fs"
)

// Subordinate is what the host grants a user beside his own ids.
type Subordinate struct {
	// Name is the user's login name, "" where it is not known.
	Name string `json:"name,omitempty"`
	// UID and GID are the ranges in the order in which the source lists them.
	// They may overlap.
	UID []Range `json:"uid,omitempty"`
	GID []Range `json:"gid,omitempty"`
	// Source is "files" (/etc/subuid and /etc/subgid) or "getsubids".
	Source string `json:"source,omitempty"`
	// Problem says, on one line, why ids may be lacking: a file that could not be
	// read, a line that could not be used. "" where all went well; that the user
	// has no ids at all is no problem of the lookup.
	Problem string `json:"problem,omitempty"`
}

// LookupSubordinate finds the subordinate ids of uid. It never fails: what goes
// wrong stands in Problem, because a start goes on with a single id.
//
// It reads four small files, some 20 µs. Programs are started only where files do
// not answer: getsubids where nsswitch.conf names another source for subid,
// getent for a user whom /etc/passwd does not list. They are looked for in the
// directories of path, the value of PATH, then in /usr/bin and /usr/sbin.
func LookupSubordinate(uid uint32, path string) Subordinate {
	d := etc
	d.path = path
	return d.lookup(uid)
}

// database names the files and programs of a lookup; tests name others.
type database struct {
	passwd, nsswitch, subuid, subgid string
	getsubids, getent                string
	path                             string // where the two are looked for
}

var etc = database{
	passwd:    "/etc/passwd",
	nsswitch:  "/etc/nsswitch.conf",
	subuid:    "/etc/subuid",
	subgid:    "/etc/subgid",
	getsubids: "getsubids",
	getent:    "getent",
}

func (d database) lookup(uid uint32) Subordinate {
	id := formatID(uid)
	s := Subordinate{Source: "files"}
	s.Name = d.name(id, &s)

	// An absent or unreadable nsswitch.conf means files, to shadow too.
	nsswitch, err := readRegular(d.nsswitch)
	if err == nil && subidSource(nsswitch) != "files" && d.ask(id, &s) {
		return s
	}
	s.UID = readRanges(d.subuid, id, &s)
	s.GID = readRanges(d.subgid, id, &s)
	return s
}

// complain keeps the first problem: it names the cause, later ones its effects.
func (s *Subordinate) complain(text string) {
	if s.Problem == "" {
		s.Problem = text
	}
}

func readRanges(path, uid string, s *Subordinate) []Range {
	text, err := readRegular(path)
	if err != nil {
		// A host without subordinate ids may lack the file.
		if !errors.Is(err, fs.ErrNotExist) {
			s.complain(err.Error())
		}
		return nil
	}
	ranges, problem := parseSubIDs(text, s.Name, uid)
	if problem != "" {
		s.complain(path + ": " + problem)
	}
	return ranges
}

// name finds the login name of uid without os/user, which is cgo or reads
// /etc/passwd without a bound.
func (d database) name(uid string, s *Subordinate) string {
	text, err := readRegular(d.passwd)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// getent would read the same FIFO or flood: leave the name unknown.
		s.complain(err.Error())
		return ""
	}
	if name := parsePasswd(text, uid); name != "" {
		return name
	}
	// Users of a directory service. newuidmap finds them by getpwuid(3), and
	// their lines in /etc/subuid may go by name.
	path := searchProgram(d.getent, d.path)
	if path == "" {
		return ""
	}
	t := program{path: path, args: []string{"passwd", uid}, output: stdout}
	if runAll(helperTimeout, &t) != nil || t.failure() != nil {
		return ""
	}
	return parsePasswd(t.said, uid)
}

// ask gets the ranges from getsubids and reports whether they stand. Where the
// program is missing, the files are all there is.
func (d database) ask(uid string, s *Subordinate) bool {
	path := searchProgram(d.getsubids, d.path)
	if path == "" {
		s.complain("nsswitch.conf names a source of subordinate ids that only getsubids can ask: getsubids: not found")
		return false
	}
	owner := s.Name
	if owner == "" {
		owner = uid
	}
	s.Source = "getsubids"
	// Standard error goes into the same text: it is the reason where it fails.
	u := program{path: path, args: []string{owner}, output: stdout | stderr}
	g := program{path: path, args: []string{"-g", owner}, output: stdout | stderr}
	if err := runAll(helperTimeout, &u, &g); err != nil {
		s.complain("getsubids: " + err.Error())
		return true
	}
	for _, p := range []*program{&u, &g} {
		if err := p.failure(); err != nil {
			s.complain("getsubids: " + err.Error())
		}
	}
	// No fall back to the files here: newuidmap asks the same source and would
	// refuse what the files grant.
	s.UID = parseGetsubids(u.said)
	s.GID = parseGetsubids(g.said)
	return true
}
