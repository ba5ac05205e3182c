package userns

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rootless-containers/rootlesskit/v3/pkg/parent/idtools"
	"golang.org/x/sys/unix"
)

// fakeEtc is a directory of the files that a lookup reads; those not named are
// absent, and programs are found by the absolute names they get here.
func fakeEtc(t *testing.T, files map[string]string) database {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		mode := os.FileMode(0o600)
		if strings.HasPrefix(text, "#!") {
			mode = 0o700
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	return database{
		passwd: at("passwd"), nsswitch: at("nsswitch.conf"), subuid: at("subuid"), subgid: at("subgid"),
		getsubids: at("getsubids"), getent: at("getent"),
	}
}

const alicePasswd = "root:x:0:0::/root:/bin/sh\nalice:x:1001:1001::/home/alice:/bin/sh\n"

func TestLookup(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  Subordinate
	}{
		{
			name:  "files",
			files: map[string]string{"passwd": alicePasswd, "subuid": "alice:100000:65536\n1001:300000:10\n", "subgid": "alice:200000:65536\n"},
			want:  Subordinate{Name: "alice", Source: "files", UID: []Range{{100000, 65536}, {300000, 10}}, GID: []Range{{200000, 65536}}},
		},
		{
			name:  "nsswitch names files",
			files: map[string]string{"passwd": alicePasswd, "nsswitch.conf": "subid: files\n", "subuid": "alice:1:2\n", "subgid": "alice:3:4\n"},
			want:  Subordinate{Name: "alice", Source: "files", UID: []Range{{1, 2}}, GID: []Range{{3, 4}}},
		},
		{name: "nothing", want: Subordinate{Source: "files"}},
		{
			name:  "no passwd, by uid",
			files: map[string]string{"subuid": "alice:1:2\n1001:5:6\n", "subgid": "1001:7:8\n"},
			want:  Subordinate{Source: "files", UID: []Range{{5, 6}}, GID: []Range{{7, 8}}},
		},
		{
			name:  "name from the directory service",
			files: map[string]string{"passwd": "root:x:0:0::/:\n", "getent": "#!/bin/sh\necho \"alice:*:$2:100::/:\"", "subuid": "alice:1:2\n", "subgid": "alice:3:4\n"},
			want:  Subordinate{Name: "alice", Source: "files", UID: []Range{{1, 2}}, GID: []Range{{3, 4}}},
		},
		{
			name:  "unknown to the directory service",
			files: map[string]string{"passwd": "", "getent": "#!/bin/sh\nexit 2", "subuid": "1001:1:2\n"},
			want:  Subordinate{Source: "files", UID: []Range{{1, 2}}},
		},
		{
			name:  "own line malformed",
			files: map[string]string{"passwd": alicePasswd, "subuid": "alice:1\nalice:1:2\n", "subgid": "alice:x:1\n"},
			want:  Subordinate{Name: "alice", Source: "files", UID: []Range{{1, 2}}, Problem: "DIR/subuid: line 1: want OWNER:START:COUNT in decimal"},
		},
		{
			name: "getsubids",
			files: map[string]string{
				"passwd": alicePasswd, "nsswitch.conf": "passwd: files sss\nsubid: sss\n", "subuid": "alice:9:9\n", "subgid": "alice:9:9\n",
				"getsubids": "#!/bin/sh\ncase $1 in -g) echo \"0: $2 3 4\";; *) echo \"0: $1 1 2\"; echo \"1: $1 5 6\";; esac",
			},
			want: Subordinate{Name: "alice", Source: "getsubids", UID: []Range{{1, 2}, {5, 6}}, GID: []Range{{3, 4}}},
		},
		{
			name: "getsubids fails",
			files: map[string]string{
				"passwd": alicePasswd, "nsswitch.conf": "subid: sss\n", "subuid": "alice:9:9\n",
				"getsubids": "#!/bin/sh\necho 'Error fetching ranges' >&2; exit 1",
			},
			want: Subordinate{Name: "alice", Source: "getsubids", Problem: "getsubids: Error fetching ranges"},
		},
		{
			name:  "getsubids missing",
			files: map[string]string{"passwd": alicePasswd, "nsswitch.conf": "subid: sss\n", "subuid": "alice:1:2\n", "subgid": "alice:3:4\n"},
			want: Subordinate{
				Name: "alice", Source: "files", UID: []Range{{1, 2}}, GID: []Range{{3, 4}},
				Problem: "nsswitch.conf names a source of subordinate ids that only getsubids can ask: getsubids: not found",
			},
		},
		{
			name: "getsubids is asked by uid where the name is unknown",
			files: map[string]string{
				"nsswitch.conf": "subid: sss\n",
				"getsubids":     "#!/bin/sh\ncase $1 in -g) echo \"0: x $2 4\";; *) echo \"0: x $1 2\";; esac",
			},
			want: Subordinate{Source: "getsubids", UID: []Range{{1001, 2}}, GID: []Range{{1001, 4}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := fakeEtc(t, c.files)
			got := d.lookup(1001)
			got.Problem = strings.ReplaceAll(got.Problem, filepath.Dir(d.passwd), "DIR")
			if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
				t.Errorf("\n got %+v\nwant %+v", got, c.want)
			}
		})
	}
}

// What is no file of a sane size in place of any of the four neither hangs nor
// floods the lookup, and is named where it costs ids.
func TestLookupHostileFiles(t *testing.T) {
	plants := map[string]func(string) error{
		"FIFO":      func(path string) error { return unix.Mkfifo(path, 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"1 GB": func(path string) error {
			if err := os.WriteFile(path, []byte("alice:1:1\n"), 0o600); err != nil {
				return err
			}
			return os.Truncate(path, 1<<30)
		},
		"endless device": func(path string) error { return os.Symlink("/dev/zero", path) },
		"link to itself": func(path string) error { return os.Symlink(path, path) },
		"unreadable":     func(path string) error { return os.WriteFile(path, nil, 0) },
		"binary":         func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("\x00\xff:", 300000)), 0o600) },
		"one long line":  func(path string) error { return os.WriteFile(path, []byte(strings.Repeat("x", maxFile)), 0o600) },
	}
	problems := map[string]string{
		"FIFO": "not a regular file", "directory": "not a regular file", "1 GB": "larger than 1 MiB",
		"endless device": "not a regular file", "link to itself": "too many levels", "unreadable": "permission denied",
	}
	for what, plant := range plants {
		for _, victim := range []string{"passwd", "nsswitch.conf", "subuid", "subgid"} {
			t.Run(what+" as "+victim, func(t *testing.T) {
				if what == "unreadable" && os.Geteuid() == 0 {
					delete(problems, what) // not to root
				}
				d := fakeEtc(t, map[string]string{"passwd": alicePasswd, "subuid": "alice:1:2\n1001:5:6\n", "subgid": "alice:3:4\n1001:7:8\n"})
				path := filepath.Join(filepath.Dir(d.passwd), victim)
				if err := os.RemoveAll(path); err != nil {
					t.Fatal(err)
				}
				if err := plant(path); err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				got := d.lookup(1001)
				if took := time.Since(start); took > 2*time.Second {
					t.Errorf("took %v", took)
				}
				want := problems[what]
				if victim == "nsswitch.conf" {
					want = ""
				}
				if want == "" != (got.Problem == "") || !strings.Contains(got.Problem, want) || strings.Contains(got.Problem, "\n") {
					t.Errorf("problem %q, want %q", got.Problem, want)
				}
				if want != "" && !strings.Contains(got.Problem, path) {
					t.Errorf("problem %q does not name %s", got.Problem, path)
				}
				if (len(got.UID) == 0) != (victim == "subuid") || (len(got.GID) == 0) != (victim == "subgid") {
					t.Errorf("got %+v", got)
				}
			})
		}
	}
}

func TestReadRegularBounds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	for _, size := range []int64{0, 1, 4096, maxFile} {
		if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if b, err := readRegular(path); err != nil || int64(len(b)) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(b), err)
		}
	}
	if err := os.Truncate(path, maxFile+1); err != nil {
		t.Fatal(err)
	}
	_, err := readRegular(path)
	checkError(t, err, "larger than 1 MiB")
	// A regular file that states no size is bounded while it is read.
	if b, err := readRegular("/proc/self/status"); err != nil || len(b) < 100 {
		t.Errorf("/proc/self/status: %d bytes, %v", len(b), err)
	}
}

func TestProcfsOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "uid_map")
	if err := os.WriteFile(path, []byte("0 0 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := readProc(path)
	checkError(t, err, path+": not on procfs")
	checkError(t, writeProc(path, []byte("x")), path+": not on procfs")
}

// On the files of this machine rootlesskit's idtools reads the same.
func TestLookupAgreesWithIDTools(t *testing.T) {
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	compared := 0
	for line := range strings.Lines(string(passwd)) {
		fields := strings.Split(line, ":")
		if len(fields) < 4 {
			continue
		}
		var uid uint32
		if _, err := fmt.Sscan(fields[2], &uid); err != nil || parsePasswd(passwd, fields[2]) != fields[0] {
			continue
		}
		wantUID, wantGID, err := idtools.GetSubIDRanges(int(uid), fields[0])
		got := LookupSubordinate(uid, os.Getenv("PATH"))
		if got.Source != "files" {
			skip(t, "nsswitch.conf names another source than files here")
		}
		if err != nil {
			if len(got.UID) > 0 && len(got.GID) > 0 {
				t.Errorf("%s: %+v, but idtools: %v", fields[0], got, err)
			}
			continue
		}
		compared++
		if !slices.Equal(got.UID, fromIDTools(wantUID)) || !slices.Equal(got.GID, fromIDTools(wantGID)) {
			t.Errorf("%s: %+v, idtools %v and %v", fields[0], got, wantUID, wantGID)
		}
	}
	t.Logf("%d users have subordinate ids", compared)
}

func fromIDTools(ranges []idtools.SubIDRange) []Range {
	var out []Range
	for _, r := range ranges {
		out = append(out, Range{uint32(r.Start), uint32(r.Length)})
	}
	return out
}
