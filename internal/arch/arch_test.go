package arch

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/internal/trial"
)

const (
	module = "github.com/rl-run/rl-run"
	top    = "../.."
)

// order is the design's: a package imports only what stands in a line before its
// own, beside packages below its own folder and internal/.
var order = [][]string{
	{"plan"},
	{"userns", "rootfs", "net", "caps", "cgroup"},
	{"launch"},
	{"container"},
	{"cmd"},
}

// forTests are the packages that no program may contain.
var forTests = []string{"internal/arch", "internal/leak", "internal/trial"}

func rank(folder string) int {
	return slices.IndexFunc(order, func(line []string) bool { return slices.Contains(line, folder) })
}

// source is a file of the tree, by its path below the top.
type source struct {
	path string
	text []byte
}

// sources are all files but those of git and those that were made.
func sources(t *testing.T) (files []source) {
	t.Helper()
	err := filepath.WalkDir(top, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, name)
		if err != nil {
			return err
		}
		switch {
		case d.IsDir() && slices.Contains([]string{".git", ".cache", "bin"}, rel):
			return filepath.SkipDir
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(name)
		files = append(files, source{filepath.ToSlash(rel), text})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f source) bool { return f.path == "go.mod" }) {
		t.Fatal("the test needs the source tree around its working directory")
	}
	return files
}

func (f source) isGo() bool   { return strings.HasSuffix(f.path, ".go") }
func (f source) isTest() bool { return strings.HasSuffix(f.path, "_test.go") }

func (f source) folder() string { return strings.SplitN(f.path, "/", 2)[0] }

func (f source) generated(t *testing.T) bool {
	return ast.IsGenerated(f.parse(t, parser.ParseComments))
}

func (f source) parse(t *testing.T, mode parser.Mode) *ast.File {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), f.path, f.text, mode)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestImports(t *testing.T) {
	checked := 0
	for _, f := range sources(t) {
		if !f.isGo() || strings.Contains(f.path, "/testdata/") {
			continue
		}
		for _, spec := range f.parse(t, parser.ImportsOnly).Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			if name == "C" {
				t.Errorf("%s uses cgo", f.path)
			}
			inner, ours := strings.CutPrefix(name, module+"/")
			if !ours {
				continue
			}
			checked++
			mayTest := f.isTest() || slices.Contains(forTests, path.Dir(f.path))
			if slices.Contains(forTests, inner) && !mayTest {
				t.Errorf("%s imports %s, which is for tests", f.path, inner)
			}
			if reason := mayNot(f.folder(), strings.SplitN(inner, "/", 2)[0]); reason != "" {
				t.Errorf("%s imports %s: %s", f.path, inner, reason)
			}
		}
	}
	if checked < 100 {
		t.Errorf("only %d imports were looked at", checked)
	}
}

// mayNot is why a folder's packages may not import those of another.
func mayNot(from, to string) string {
	switch {
	case from == to, to == "internal", from == "test", from == "scripts":
		return ""
	case from == "internal":
		return "internal/ stands before all others"
	case rank(from) < 0:
		return from + " has no place in the order"
	case rank(to) < 0:
		return to + " has no place in the order"
	case rank(to) >= rank(from):
		return "the order is " + strings.Join(slices.Concat(order...), ", ")
	}
	return ""
}

// What the launcher is made of decides how long its own start takes.
func TestDependencies(t *testing.T) {
	cmd := exec.Command(trial.NeedTool(t, "go"), "list", "-buildvcs=false", "-deps", "./cmd/rl-run")
	cmd.Dir, cmd.Env = top, append(os.Environ(), "GOFLAGS=-mod=readonly", "GOPROXY=off", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	all := strings.Fields(string(out))
	if !slices.Contains(all, module+"/plan") {
		t.Fatalf("go list: %s", out)
	}
	for _, heavy := range []string{"net/http", "crypto/tls", "text/template", "html/template", "runtime/cgo", "testing"} {
		if slices.Contains(all, heavy) {
			t.Errorf("rl-run contains %s", heavy)
		}
	}
	for _, name := range all {
		if inner, ours := strings.CutPrefix(name, module+"/"); ours && slices.Contains(forTests, inner) {
			t.Errorf("rl-run contains %s", name)
		}
	}
}

func TestEachPackageIsDocumented(t *testing.T) {
	documented := make(map[string]bool)
	for _, f := range sources(t) {
		if !f.isGo() || f.isTest() || strings.Contains(f.path, "/testdata/") {
			continue
		}
		dir := path.Dir(f.path)
		documented[dir] = documented[dir] || f.parse(t, parser.ParseComments|parser.PackageClauseOnly).Doc != nil
	}
	for dir, ok := range documented {
		if !ok {
			t.Errorf("package %s has no doc comment", dir)
		}
	}
}

// The design's table of packages has each of them, or the folder around it.
func TestDesignNamesPackages(t *testing.T) {
	named, checked := "", 0
	files := sources(t)
	for _, f := range files {
		if f.path == "docs/design.md" {
			_, named, _ = strings.Cut(string(f.text), "\n## Packages\n")
		}
	}
	dirs := make(map[string]bool)
	for _, f := range files {
		if f.isGo() && !strings.Contains(f.path, "/testdata/") {
			dirs[path.Dir(f.path)] = true
		}
	}
	around := []string{".", "cmd", "internal", "net", "test"} // too wide to say what is in it
	for dir := range dirs {
		checked++
		at := dir
		for !slices.Contains(around, at) && !strings.Contains(named, "`"+at+"`") {
			at = path.Dir(at)
		}
		if slices.Contains(around, at) {
			t.Errorf("docs/design.md does not name %s among the packages", dir)
		}
	}
	if checked < 50 {
		t.Errorf("only %d packages were found", checked)
	}
}

// A file holds one concept. The limits are for those that people write.
func TestFilesAreShort(t *testing.T) {
	const code, test = 400, 500
	for _, f := range sources(t) {
		limit := code
		if f.isTest() {
			limit = test
		}
		lines := bytes.Count(f.text, []byte{'\n'})
		written := f.isGo() && !f.generated(t) || strings.HasPrefix(f.path, "scripts/") && path.Ext(f.path) == ""
		if written && lines >= limit {
			t.Errorf("%s has %d lines: look for the second concept in it", f.path, lines)
		}
	}
}

var (
	hostInURL = regexp.MustCompile(`https?://([A-Za-z0-9.-]+)`)
	// knownHosts are those of sources that are cited, and names that stand for others.
	knownHosts = regexp.MustCompile(`^((www\.)?(apache|kernel|man7|rfc-editor|golang|debian|freedesktop)\.org|(docs|lore|git)\.kernel\.org|github\.com|pkg\.go\.dev|go\.dev|keepachangelog\.com|semver\.org|(.*\.)?example(\.(org|com|net))?|proxy|p|localhost|127\.0\.0\.1)$`)
	// mirrors serve packages: which one a machine uses is the machine's affair.
	mirrors    = regexp.MustCompile(`\b(proxy\.golang|sum\.golang|(deb|security)\.debian|archive\.ubuntu|pypi|files\.pythonhosted|registry\.npmjs)\.(org|com)\b|\bregistry-1\.docker\.io\b|\bgoproxy\.[a-z]+\b`)
	unfinished = regexp.MustCompile(`\b(TO` + `DO|FIX` + `ME)\b`)
)

// The tree speaks of itself alone: not of the machine on which it was written.
func TestNothingOfTheMachine(t *testing.T) {
	machine := placesOfThisMachine(t)
	for _, f := range sources(t) {
		if strings.HasPrefix(f.path, "internal/arch/") {
			continue
		}
		for n, line := range bytes.Split(f.text, []byte{'\n'}) {
			for _, place := range machine {
				if bytes.Contains(line, []byte(place)) {
					t.Errorf("%s:%d: names %s, a place of this machine", f.path, n+1, place)
				}
			}
			for _, m := range hostInURL.FindAllSubmatch(line, -1) {
				if !knownHosts.Match(bytes.TrimRight(m[1], ".")) {
					t.Errorf("%s:%d: names the host %s", f.path, n+1, m[1])
				}
			}
			if m := mirrors.Find(line); m != nil {
				t.Errorf("%s:%d: names the mirror %s", f.path, n+1, m)
			}
			if m := unfinished.Find(line); m != nil {
				t.Errorf("%s:%d: is unfinished: %s", f.path, n+1, m)
			}
		}
	}
}

// placesOfThisMachine are the source tree's own place, and what lies beside it.
func placesOfThisMachine(t *testing.T) []string {
	t.Helper()
	root, err := filepath.Abs(top)
	if err != nil {
		t.Fatal(err)
	}
	places := []string{root}
	parent := filepath.Dir(root)
	if slices.Contains([]string{"/", "/tmp", "/var/tmp", "/home", "/root", "/src", "/opt", "/mnt"}, parent) {
		return places
	}
	entries, err := os.ReadDir(parent)
	if err != nil {
		return places // a parent that can be entered only
	}
	for _, e := range entries {
		places = append(places, filepath.Join(parent, e.Name()))
	}
	return places
}
