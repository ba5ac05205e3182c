package rootfs

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/rl-run/rl-run/plan"
)

// words are the steps in their own words, and each is init's.
func words(t *testing.T, entries []plan.Entry) []string {
	t.Helper()
	var list []string
	for _, e := range entries {
		if e.Actor != plan.Init {
			t.Errorf("%s is a step of %s", e.Step, e.Actor)
		}
		list = append(list, e.Step.String())
	}
	return list
}

func wantWords(t *testing.T, what string, entries []plan.Entry, want ...string) {
	t.Helper()
	if got := words(t, entries); !slices.Equal(got, want) {
		t.Errorf("%s:\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestMasks(t *testing.T) {
	masks := []MaskPath{{"/proc/acpi", true}, {"/proc/kcore", false}, {"/proc/keys", false}}
	readOnly := []string{"/proc/bus", "/proc/sys"}
	const bus, sys = "remount /proc/bus (ro,nosuid,nodev,noexec)", "remount /proc/sys (ro,nosuid,nodev,noexec)"
	const null = "open /dev/null for the masks"
	for _, c := range []struct {
		name   string
		masks  []MaskPath
		unmask []string
		want   []string
	}{
		{"all", masks, nil, []string{bus, sys, null, "mask /proc/acpi", "mask /proc/kcore", "mask /proc/keys"}},
		{"unmask a file", masks, []string{"/proc/kcore"}, []string{bus, sys, null, "mask /proc/acpi", "mask /proc/keys"}},
		{"unmask all files", masks, []string{"/proc/keys", "/proc/kcore"}, []string{bus, sys, "mask /proc/acpi"}},
		{"unmask a read-only one", masks, []string{"/proc/sys"}, []string{bus, null, "mask /proc/acpi", "mask /proc/kcore", "mask /proc/keys"}},
		{"unmask what is not masked", nil, []string{"/proc/other"}, []string{bus, sys}},
		{"unmask ALL", masks, []string{"ALL"}, nil},
		{"unmask ALL and more", masks, []string{"/proc/keys", "ALL"}, nil},
		{"no masks", nil, nil, []string{bus, sys}},
	} {
		before := slices.Clone(c.masks)
		wantWords(t, c.name, Masks(c.masks, readOnly, c.unmask), c.want...)
		if !slices.Equal(c.masks, before) {
			t.Errorf("%s: the list of masks was changed", c.name)
		}
	}
}

func TestLookMasks(t *testing.T) {
	top := grow(t, "dir/", "file", "link -> dir")
	got := LookMasks([]string{top + "/dir", top + "/none", top + "/file", top + "/link"})
	want := []MaskPath{{top + "/dir", true}, {top + "/file", false}, {top + "/link", false}} // a link is not followed
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, p := range append(DefaultMasks[:], DefaultReadOnly[:]...) {
		if !strings.HasPrefix(p, "/proc/") && !strings.HasPrefix(p, "/sys/") {
			t.Errorf("%s is not the kernel's", p)
		}
	}
}

func TestMountPoint(t *testing.T) {
	wantWords(t, "one that exists", MountPoint(Target{Exists: true, Dir: true, Place: "/a"}, true))
	wantWords(t, "a directory", MountPoint(Target{Place: "/a"}, true), "make directory /a")
	wantWords(t, "a file below two", MountPoint(Target{Missing: []string{"/a", "/a/b"}, Place: "/a/b/c"}, false),
		"make directory /a", "make directory /a/b", "make file /a/b/c")
}

// What was made is unmade from the inside out.
func TestUnmake(t *testing.T) {
	made := MountPoint(Target{Missing: []string{"/a"}, Place: "/a/b"}, true)
	made = append(made, MountPoint(Target{Place: "/f"}, false)...)
	want := []plan.Step{
		plan.RemoveMountPoint{Rootfs: "/tree", Path: "/f"},
		plan.RemoveMountPoint{Rootfs: "/tree", Path: "/a/b", Dir: true},
		plan.RemoveMountPoint{Rootfs: "/tree", Path: "/a", Dir: true},
	}
	if got := Unmake("/tree", made); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got := Unmake("/tree", nil); len(got) != 0 {
		t.Errorf("nothing was made, and %v", got)
	}
}

func TestRoot(t *testing.T) {
	tree := Tree{Path: "/tree", Dev: 1, Ino: 2, Mode: 0o750}
	for _, c := range []struct {
		name      string
		form      Form
		layers    Layers
		recursive bool
		want      []string
	}{
		{"overlay", FormOverlay, Layers{}, true, []string{
			"mount the stage tmpfs of 4096 bytes", "make stage directory upper, mode 0750, owner 1:2", "make stage directory work, mode 0700, owner 0:0",
			"bind /tree as lower", "mount overlay as root: lowerdir=lower,upperdir=upper,workdir=work,userxattr", "open the new root",
		}},
		{"overlay on disk", FormOverlay, Layers{Dir: "/disk"}, true, []string{
			"mount the stage tmpfs", "bind /disk as disk", "bind /tree as lower",
			"mount overlay as root: lowerdir=lower,upperdir=disk/upper,workdir=disk/work,userxattr,volatile", "open the new root",
		}},
		{"kept overlay", FormOverlay, Layers{Dir: "/disk", Keep: true}, true, []string{
			"mount the stage tmpfs", "bind /disk as disk", "bind /tree as lower",
			"mount overlay as root: lowerdir=lower,upperdir=disk/upper,workdir=disk/work,userxattr", "open the new root",
		}},
		{"copy", FormCopy, Layers{}, false, []string{
			"mount the stage tmpfs", "bind recursively read-only /tree as lower", "mount a tmpfs of 4096 bytes as root", "copy /tree to root", "open the new root",
		}},
		{"bind", FormBind, Layers{}, false, []string{"mount the stage tmpfs", "bind /tree as root", "open the new root"}},
		{"recursive bind", FormBind, Layers{}, true, []string{"mount the stage tmpfs", "bind recursively /tree as root", "open the new root"}},
		{"read-only", FormReadOnly, Layers{}, true, []string{"mount the stage tmpfs", "bind recursively read-only /tree as root", "open the new root"}},
	} {
		entries := Root(c.form, tree, c.layers, 4096, 1, 2, c.recursive, false)
		wantWords(t, c.name, entries, c.want...)
		for _, e := range entries {
			if a, ok := e.Step.(plan.AttachTree); ok && a.Path == tree.Path && (a.Dev != 1 || a.Ino != 2) {
				t.Errorf("%s: %s is not checked", c.name, a)
			}
		}
	}
}

func TestDev(t *testing.T) {
	for _, c := range []struct {
		tty, mqueue bool
	}{{true, true}, {false, false}} {
		entries := Dev([]string{"null", "tty"}, c.tty, c.mqueue)
		all := strings.Join(words(t, entries), "\n")
		for text, want := range map[string]bool{
			"gid=5": c.tty, "mqueue": c.mqueue, "bind /dev/null\n": true, "bind /dev/tty\n": true, "bind /dev/zero\n": false,
			"link /dev/ptmx to pts/ptmx": true, "/dev/shm (nosuid,nodev,noexec,mode=1777": true, "newinstance": true,
		} {
			if strings.Contains(all, text) != want {
				t.Errorf("%+v: %q is there: %t\n%s", c, text, !want, all)
			}
		}
		if m, ok := entries[0].Step.(plan.Mount); !ok || !m.Strict || m.Flags&unix.MS_NOSUID == 0 {
			t.Errorf("%s is not strict, or not nosuid", entries[0].Step)
		}
	}
}

// Nothing of /proc and /sys is mounted with suid, devices or through a link.
func TestKernelFilesystems(t *testing.T) {
	s := Source{Path: "/proc", Dev: 7, Ino: 8, Dir: true}
	for what, entries := range map[string][]plan.Entry{
		"proc": Proc(), "host's proc": HostProc(s, true, "w"), "sys": Sys(), "host's sys": HostSys(s, "w"), "cgroup": Cgroup(),
	} {
		for _, e := range entries {
			text := e.Step.String()
			if !strings.Contains(text, "nosuid,nodev,noexec") {
				t.Errorf("%s: %s", what, text)
			}
			if strings.Contains(what, "sys") && !strings.Contains(text, "(ro,") {
				t.Errorf("%s can be written: %s", what, text)
			}
			if b, ok := e.Step.(plan.Bind); ok && (!b.Recursive || b.Dev != 7 || b.Ino != 8) {
				t.Errorf("%s: %+v", what, b)
			}
		}
	}
	if _, err := os.Stat("/dev/" + Nodes[0]); err != nil {
		t.Error(err)
	}
}
