package mountspec

import (
	"errors"
	"strings"
	"testing"
)

func TestParseVolume(t *testing.T) {
	for _, c := range []struct {
		value string
		want  Bind
	}{
		{"/a:/b", Bind{Source: "/a", Target: "/b"}},
		{"./a:/b", Bind{Source: "./a", Target: "/b"}},
		{".:/b", Bind{Source: ".", Target: "/b"}},
		{"..:/b", Bind{Source: "..", Target: "/b"}},
		{"a/b:/b", Bind{Source: "a/b", Target: "/b"}},
		{"/a/../b/:/c", Bind{Source: "/a/../b/", Target: "/c"}},
		{"/:/host", Bind{Source: "/", Target: "/host"}},
		{"/a:/b//c/./d/../e/", Bind{Source: "/a", Target: "/b/c/e"}},
		{"/a:/../../b", Bind{Source: "/a", Target: "/b"}},
		{"/a:/b:ro", Bind{Source: "/a", Target: "/b", ReadOnly: true}},
		{"/a:/b:rw", Bind{Source: "/a", Target: "/b"}},
		{"/a,b:/c,d:ro,noexec", Bind{Source: "/a,b", Target: "/c,d", ReadOnly: true, NoExec: true}},
		{"/a:/b:exec,nosuid,nodev,nocopy,rbind,rprivate", Bind{Source: "/a", Target: "/b"}},
		{"/a:/b:private", Bind{Source: "/a", Target: "/b"}},
		{"/a:/b:bind,slave", Bind{Source: "/a", Target: "/b", NonRecursive: true, Propagation: Slave}},
		{"/a:/b:rslave", Bind{Source: "/a", Target: "/b", Propagation: RSlave}},
		{"/a b:/c\nd", Bind{Source: "/a b", Target: "/c\nd"}},
	} {
		got, err := ParseVolume(c.value)
		if err != nil || got != c.want {
			t.Errorf("-v %s: %+v, %v; want %+v", c.value, got, err, c.want)
		}
	}
}

func TestVolumeMessages(t *testing.T) {
	const expected = "(expected " + volumeOptions + ")"
	for _, c := range []struct{ value, want string }{
		{"./x:/y:foo", `unknown option "foo" ` + expected},
		{"./x:/y:size=5", `unknown option "size=5" ` + expected},
		{"./x:/y:RO", `unknown option "RO" ` + expected},
		{"./x:/y:", `empty option ` + expected},
		{"./x:/y:ro,", `empty option ` + expected},
		{"./x:/y:ro,ro", `option "ro" is given twice`},
		{"./x:/y:ro,rw", `options "ro" and "rw" are both given`},
		{"./x:/y:slave,noexec,private", `options "slave" and "private" are both given`},
		{"./x:/y:suid", `option "suid" cannot be honoured: mounts are always nosuid`},
		{"./x:/y:dev", `option "dev" cannot be honoured: mounts are always nodev (devices are given with --device)`},
		{"./x:/y:rshared", `option "rshared" cannot be honoured: a mount made in a user namespace does not reach the host (slave and rslave work)`},
		{"./x:/y:z", `option "z" cannot be honoured: files are not relabelled for SELinux (chcon does it beforehand)`},
		{"./x:/y:ro,Z", `option "Z" cannot be honoured: files are not relabelled for SELinux (chcon does it beforehand)`},
		{"./x:/y:U", `option "U" cannot be honoured: owners of the host's files are not changed (rl-unshare chown does it beforehand)`},
		{"./x:/y:O", `option "O" cannot be honoured: no overlay is laid over a bind (ro protects the source)`},
		{"./x:/y:upperdir=/z", `option "upperdir" cannot be honoured: no overlay is laid over a bind (ro protects the source)`},
		{"./x:/y:cached", `option "cached" cannot be honoured: a bind on linux is always consistent`},
		{"", `no destination (expected SRC:DST[:OPTIONS])`},
		{"/y", `no destination (expected SRC:DST[:OPTIONS])`},
		{"./x:", `no destination`},
		{":/y", `no source`},
		{"./x:y", `destination "y" is not absolute`},
		{"./x:ro", `destination "ro" is not absolute`},
		{"./x:/", `destination "/" is the root itself (ROOTFS is what is mounted there)`},
		{"./x:/a/..", `destination "/a/.." is the root itself (ROOTFS is what is mounted there)`},
		{"./x:/y:ro:z", `too many colons (expected SRC:DST[:OPTIONS]; a path with a colon needs --mount)`},
		{"data:/y", `source "data" names a volume, and there are none here (a file or directory of that name is "./data")`},
		{".hidden:/y", `source ".hidden" names a volume, and there are none here (a file or directory of that name is "./.hidden")`},
		{"./x\x00:/y", `source "./x\x00" holds a NUL`},
		{"./x:/y\x00", `destination "/y\x00" holds a NUL`},
	} {
		_, err := ParseVolume(c.value)
		checkMessage(t, err, "-v", c.value, c.want)
	}
}

func TestParseMount(t *testing.T) {
	bind := Bind{Source: "/a", Target: "/b"}
	with := func(change func(*Bind)) Bind {
		b := bind
		change(&b)
		return b
	}
	readOnly := with(func(b *Bind) { b.ReadOnly = true })
	tmp := Tmpfs{Target: "/t", Mode: DefaultMode, NoExec: true}
	tmpWith := func(change func(*Tmpfs)) Tmpfs {
		t := tmp
		change(&t)
		return t
	}
	for _, c := range []struct {
		value string
		want  Mount
	}{
		{"type=bind,source=/a,destination=/b", bind},
		{"type=bind,src=/a,dst=/b", bind},
		{"src=/a,target=/b/../b,type=BIND", bind},
		{"TYPE=bind,Source=/a,Target=/b,ReadOnly", readOnly},
		{"type=bind,src=/a,dst=/b,ro", readOnly},
		{"type=bind,src=/a,dst=/b,readonly=true", readOnly},
		{"type=bind,src=/a,dst=/b,ro=1", readOnly},
		{"type=bind,src=/a,dst=/b,rw=false", readOnly},
		{"type=bind,src=/a,dst=/b,readonly=false", bind},
		{"type=bind,src=/a,dst=/b,rw", bind},
		{"type=bind,src=/a,dst=/b,exec,nosuid,nodev=true,suid=0", Bind{}}, // suid and nosuid at once
		{"type=bind,src=/a,dst=/b,exec,nosuid=true,dev=false", bind},
		{"type=bind,src=/a,dst=/b,noexec", with(func(b *Bind) { b.NoExec = true })},
		{"type=bind,src=/a,dst=/b,bind-propagation=rprivate", bind},
		{"type=bind,src=/a,dst=/b,bind-propagation=slave", with(func(b *Bind) { b.Propagation = Slave })},
		{"type=bind,src=/a,dst=/b,bind-propagation=rslave", with(func(b *Bind) { b.Propagation = RSlave })},
		{"type=bind,src=/a,dst=/b,bind-nonrecursive", with(func(b *Bind) { b.NonRecursive = true })},
		{"type=bind,src=/a,dst=/b,bind-nonrecursive=false", bind},
		{"type=bind,src=/a,dst=/b,bind-recursive=disabled", with(func(b *Bind) { b.NonRecursive = true })},
		{"type=bind,src=/a,dst=/b,bind-recursive=enabled", bind},
		{"type=bind,src=/a,dst=/b,bind-recursive=readonly,ro", readOnly},
		{`type=bind,"source=/a,b:c=""d""",dst=/b`, with(func(b *Bind) { b.Source = `/a,b:c="d"` })},
		{"type=bind,src=.,dst=/b", with(func(b *Bind) { b.Source = "." })},
		{"type=tmpfs,dst=/t", tmp},
		{"type=tmpfs,dst=/t:x", tmpWith(func(t *Tmpfs) { t.Target = "/t:x" })},
		{"type=tmpfs,target=/t,tmpfs-size=50m,tmpfs-mode=0700", tmpWith(func(t *Tmpfs) { t.Size, t.Mode = 50<<20, 0o700 })},
		{"type=tmpfs,dst=/t,tmpfs-mode=0,exec,ro", tmpWith(func(t *Tmpfs) { t.Mode, t.NoExec, t.ReadOnly = 0, false, true })},
		{
			"type=tmpfs,dst=/t,tmpfs-inodes=10k,tmpfs-uid=5,tmpfs-gid=6,notmpcopyup,noexec",
			tmpWith(func(t *Tmpfs) { t.Inodes, t.UID, t.GID = 10<<10, 5, 6 }),
		},
	} {
		got, err := ParseMount(c.value)
		if c.want == (Bind{}) {
			if err == nil {
				t.Errorf("--mount %s: %+v", c.value, got)
			}
			continue
		}
		if err != nil || got != c.want {
			t.Errorf("--mount %s: %+v, %v; want %+v", c.value, got, err, c.want)
		}
	}
}

func TestMountMessages(t *testing.T) {
	const bind = "type=bind,src=/a,dst=/b,"
	for _, c := range []struct{ value, want string }{
		{"", `no fields (expected type=bind or type=tmpfs and more)`},
		{"src=/a,dst=/b", `no type (expected type=bind or type=tmpfs)`},
		{"type=volume,src=a,dst=/b", `there are no volumes here (expected type=bind or type=tmpfs)`},
		{"type=npipe", `unknown type "npipe" (expected bind or tmpfs)`},
		{"type=bind,type=bind", `option "type" is given twice`},
		{"type=bind,dst=/b", `no source (expected source=PATH)`},
		{"type=bind,src=/a", `no destination (expected destination=PATH)`},
		{"type=bind,src=,dst=/b", `no source`},
		{"type=bind,src=a,dst=/b", `source "a" names a volume, and there are none here (a file or directory of that name is "./a")`},
		{"type=bind,src=/a,dst=b", `destination "b" is not absolute`},
		{"type=bind,src=/a,dst=/", `destination "/" is the root itself (ROOTFS is what is mounted there)`},
		{bind + "src=/a", `option "src" is given twice`},
		{bind + "target=/a", `options "dst" and "target" are both given`},
		{bind + "readonly,rw", `options "ro" and "rw" are both given`},
		{bind + "readonly,ro", `option "ro" is given twice`},
		{bind + "readonly=maybe", `malformed readonly "maybe" (expected true or false)`},
		{bind + "ro=", `malformed ro "" (expected true or false)`},
		{bind + "nosuid=false", `option "suid" cannot be honoured: mounts are always nosuid`},
		{bind + "foo", `unknown option "foo" (expected ` + bindKeys + `)`},
		{bind + "foo=bar", `unknown option "foo=bar" (expected ` + bindKeys + `)`},
		{bind, `empty option (expected ` + bindKeys + `)`},
		{bind + "tmpfs-size=5m", `unknown option "tmpfs-size=5m" (expected ` + bindKeys + `)`},
		{bind + "relabel=shared", `option "relabel" cannot be honoured: files are not relabelled for SELinux (chcon does it beforehand)`},
		{bind + "consistency=cached", `option "consistency" cannot be honoured: a bind on linux is always consistent`},
		{bind + "bind-propagation=rshared", `bind-propagation "rshared" cannot be honoured: a mount made in a user namespace does not reach the host (slave and rslave work)`},
		{bind + "bind-propagation=x", `unknown bind-propagation "x" (expected private, rprivate, slave or rslave)`},
		{bind + "bind-propagation", `unknown bind-propagation "" (expected private, rprivate, slave or rslave)`},
		{bind + "bind-recursive=x", `unknown bind-recursive "x" (expected enabled, disabled or readonly)`},
		{bind + "bind-recursive=writable", `bind-recursive "writable" cannot be honoured: readonly holds for the mounts below as well`},
		{bind + "bind-recursive=readonly", `bind-recursive=readonly is given without readonly`},
		{bind + "bind-recursive=enabled,bind-nonrecursive", `options "bind-recursive" and "bind-nonrecursive" are both given`},
		{`type=bind,"src=/a`, `a quote is not closed`},
		{`type=bind,src="/a"`, `a quote inside "src=\"/a\"" (expected the field to begin with it)`},
		{`"type=bind"x,src=/a`, `"x,src=/a" follows a closing quote (expected a comma)`},
		{"type=tmpfs", `no destination (expected destination=PATH)`},
		{"type=tmpfs,src=/a,dst=/b", `a tmpfs has no source`},
		{"type=tmpfs,dst=/b,tmpfs-size", `tmpfs-size has no value`},
		{"type=tmpfs,dst=/b,tmpfs-size=0", `malformed size "0" (expected a number of bytes above 0, as in 4096, 512k, 50m or 1.5g)`},
		{"type=tmpfs,dst=/b,tmpfs-mode=8", `malformed mode "8" (expected an octal number from 0 to 7777)`},
		{"type=tmpfs,dst=/b,tmpcopyup", `option "tmpcopyup" cannot be honoured: a tmpfs starts empty`},
		{"type=tmpfs,dst=/b,size=5m", `unknown option "size=5m" (expected ` + tmpKeys + `)`},
	} {
		_, err := ParseMount(c.value)
		checkMessage(t, err, "--mount", c.value, c.want)
	}
}

func TestParseTmpfs(t *testing.T) {
	for _, c := range []struct {
		value string
		want  Tmpfs
	}{
		{"/t", Tmpfs{Target: "/t", Mode: DefaultMode, NoExec: true}},
		{"/t/../u/", Tmpfs{Target: "/u", Mode: DefaultMode, NoExec: true}},
		{"/t:rw,noexec,nosuid,nodev,size=64m", Tmpfs{Target: "/t", Size: 64 << 20, Mode: DefaultMode, NoExec: true}},
		{"/t:exec,size=1,mode=700", Tmpfs{Target: "/t", Size: 1, Mode: 0o700}},
		{"/t:ro,mode=01777,nr_inodes=5000,notmpcopyup", Tmpfs{Target: "/t", Inodes: 5000, Mode: 0o1777, ReadOnly: true, NoExec: true}},
		{"/t:uid=4294967294,gid=100", Tmpfs{Target: "/t", Mode: DefaultMode, UID: 4294967294, GID: 100, NoExec: true}},
	} {
		got, err := ParseTmpfs(c.value)
		if err != nil || got != c.want {
			t.Errorf("--tmpfs %s: %+v, %v; want %+v", c.value, got, err, c.want)
		}
	}
}

func TestTmpfsMessages(t *testing.T) {
	const expected = "(expected " + tmpfsOptions + ")"
	for _, c := range []struct{ value, want string }{
		{"", `no destination`},
		{"t", `destination "t" is not absolute`},
		{"/", `destination "/" is the root itself (ROOTFS is what is mounted there)`},
		{"/t:", `empty option ` + expected},
		{"/t:foo", `unknown option "foo" ` + expected},
		{"/t:foo=1", `unknown option "foo=1" ` + expected},
		{"/t:size", `unknown option "size" ` + expected},
		{"/t:inodes=1", `unknown option "inodes=1" ` + expected},
		{"/t:ro=1", `unknown option "ro=1" ` + expected},
		{"/t:size=0", `malformed size "0" (expected a number of bytes above 0, as in 4096, 512k, 50m or 1.5g)`},
		{"/t:size=50%", `malformed size "50%" (expected a number of bytes above 0, as in 4096, 512k, 50m or 1.5g)`},
		{"/t:size=1m,size=2m", `option "size" is given twice`},
		{"/t:ro,rw", `options "ro" and "rw" are both given`},
		{"/t:mode=17777", `malformed mode "17777" (expected an octal number from 0 to 7777)`},
		{"/t:mode=rwx", `malformed mode "rwx" (expected an octal number from 0 to 7777)`},
		{"/t:uid=4294967295", `malformed uid "4294967295" (expected a number from 0 to 4294967294)`},
		{"/t:gid=users", `malformed gid "users" (expected a number from 0 to 4294967294)`},
		{"/t:nr_inodes=0", `malformed nr_inodes "0" (expected a number above 0, as in 5000 or 10k)`},
		{"/t:noswap", `option "noswap" cannot be honoured: the kernel allows it outside user namespaces only`},
		{"/t:huge=always", `option "huge" cannot be honoured: huge pages make a tmpfs of small files slower`},
		{"/t:suid", `option "suid" cannot be honoured: mounts are always nosuid`},
		{"/t:ro:rw", `too many colons (expected DST[:OPTIONS]; a path with a colon needs --mount)`},
	} {
		_, err := ParseTmpfs(c.value)
		checkMessage(t, err, "--tmpfs", c.value, c.want)
	}
}

func TestParseDevice(t *testing.T) {
	for _, c := range []struct {
		value string
		want  Device
	}{
		{"/dev/fuse", Device{"/dev/fuse", "/dev/fuse"}},
		{"/dev//x/../fuse", Device{"/dev/fuse", "/dev/fuse"}},
		{"/dev/a:/dev/b", Device{"/dev/a", "/dev/b"}},
		{"/dev/a:/dev/b:rwm", Device{"/dev/a", "/dev/b"}},
		{"/dev/a:/dev/b:wr", Device{"/dev/a", "/dev/b"}},
		{"/dev/a:rwm", Device{"/dev/a", "/dev/a"}},
	} {
		got, err := ParseDevice(c.value)
		if err != nil || got != c.want {
			t.Errorf("--device %s: %+v, %v; want %+v", c.value, got, err, c.want)
		}
	}
}

func TestDeviceMessages(t *testing.T) {
	for _, c := range []struct{ value, want string }{
		{"", `source "" is not absolute (expected a path such as /dev/X)`},
		{"fuse", `source "fuse" is not absolute (expected a path such as /dev/X)`},
		{"vendor.com/gpu=0", `names of the container device interface are not known here (expected a path such as /dev/X)`},
		{"/", `source "/" is no device`},
		{"/dev/a:", `no destination`},
		{"/dev/a:b", `destination "b" is not absolute`},
		{"/dev/a:/", `destination "/" is the root itself (ROOTFS is what is mounted there)`},
		{"/dev/a:/dev/b:", `no permissions after the last colon (expected rw or rwm)`},
		{"/dev/a:/dev/b:rx", `malformed permissions "rx" (expected rw or rwm)`},
		{"/dev/a:/dev/b:rrw", `malformed permissions "rrw" (expected rw or rwm)`},
		{"/dev/a:r", `permissions "r" cannot be honoured: without privilege a device is given as a whole (expected rw or rwm)`},
		{"/dev/a:/dev/b:wm", `permissions "wm" cannot be honoured: without privilege a device is given as a whole (expected rw or rwm)`},
		{"/dev/a:/dev/b:rw:x", `too many colons (expected SRC[:DST][:rwm])`},
	} {
		_, err := ParseDevice(c.value)
		checkMessage(t, err, "--device", c.value, c.want)
	}
}

func TestParseSize(t *testing.T) {
	for _, c := range []struct {
		s    string
		want uint64
	}{
		{"1", 1},
		{"4096", 4096},
		{"007", 7},
		{"10b", 10},
		{"10B", 10},
		{"512k", 512 << 10},
		{"512K", 512 << 10},
		{"50m", 50 << 20},
		{"50mb", 50 << 20},
		{"50MiB", 50 << 20},
		{"50Mi", 50 << 20},
		{"50 MB", 50 << 20},
		{"1g", 1 << 30},
		{"2t", 2 << 40},
		{"3p", 3 << 50},
		{"1.5g", 3 << 29},
		{"0.5k", 512},
		{"0.3k", 307},
		{"1.000000000000000001k", 1024},
		{"8191.999999999999999999p", 8192<<50 - 1},
		{"9223372036854775807", MaxSize},
	} {
		got, err := ParseSize(c.s)
		if err != nil || got != c.want {
			t.Errorf("%q: %d, %v; want %d", c.s, got, err, c.want)
		}
	}
	for _, s := range []string{
		"", "0", "0m", "0.0001", "-1", "+1", " 1", "1 ", "1  m", "m", ".5m", "5.m", "1.2.3", "..", "1x", "1kk", "1ibs",
		"1e3", "0x10", "1,5g", "50%", "1.0000000000000000000m", "１m", "1b b", "unlimited",
	} {
		_, err := ParseSize(s)
		if err == nil || !strings.HasPrefix(err.Error(), "malformed size ") || !strings.Contains(err.Error(), "(expected ") {
			t.Errorf("%q: %v", s, err)
		}
	}
	for _, s := range []string{"9223372036854775808", "8192p", "8388608t", "99999999999999999999999999999999", "18446744073709551616"} {
		_, err := ParseSize(s)
		if err == nil || !strings.HasSuffix(err.Error(), " is larger than 8 EiB") {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestOrder(t *testing.T) {
	a := Bind{Source: "/x", Target: "/a"}
	ab := Tmpfs{Target: "/a/b", Mode: DefaultMode}
	abc := Device{"/dev/null", "/a/b/c"}
	z := Bind{Source: "/x", Target: "/z"}
	got, err := Order([]Mount{abc, z, ab, a})
	if want := [4]Mount{z, a, ab, abc}; err != nil || [4]Mount(got) != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	_, err = Order([]Mount{ab, Bind{Source: "/y", Target: "/a/b"}})
	checkMessage(t, err, "--mount", "type=bind,source=/y,destination=/a/b", "--mount type=tmpfs,destination=/a/b,exec has the same destination")
}

func TestUnprintableValueIsQuoted(t *testing.T) {
	_, err := ParseVolume("a\x1b[2J:/b")
	if err == nil || !strings.HasPrefix(err.Error(), `-v "a\x1b[2J:/b": `) {
		t.Errorf("%v", err)
	}
	_, err = ParseTmpfs("")
	if err == nil || err.Error() != `--tmpfs "": no destination` {
		t.Errorf("%v", err)
	}
}

func checkMessage(t *testing.T, err error, flag, value, want string) {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Flag != flag || e.Value != value || e.Reason != want {
		t.Errorf("%s %s: %v; want %s", flag, value, err, want)
	}
}
