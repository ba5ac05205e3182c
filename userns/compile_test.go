package userns

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/rl-run/rl-run/plan"
)

// plainCaller is a plain user on a host where everything is there.
func plainCaller() Caller {
	return Caller{
		UID: 1001, GID: 1001,
		Parent: InitialMaps(),
		Subordinate: Subordinate{
			Name: "alice", Source: "files",
			UID: []Range{{100000, 65536}}, GID: []Range{{100000, 65536}},
		},
		Helpers: Helpers{
			UID: Helper{Path: "/usr/bin/newuidmap", Privilege: "setuid"},
			GID: Helper{Path: "/usr/bin/newgidmap", Privilege: "setuid"},
		},
	}
}

// rootCaller is root, without subordinate ids.
func rootCaller() Caller {
	return Caller{CapSetUID: true, CapSetGID: true, Parent: InitialMaps(), Subordinate: Subordinate{Name: "root", Source: "files"}}
}

var helpersHow = How{Way: WayHelpers, NewUIDMap: "/usr/bin/newuidmap", NewGIDMap: "/usr/bin/newgidmap"}

func TestCompile(t *testing.T) {
	nested := ext(0, 1001, 1, 1, 100000, 65536)
	for _, c := range []struct {
		name      string
		mode      Mode
		change    func(*Caller)
		root      bool
		uid, gid  []plan.Extent // gid nil: as uid
		how       How
		stay      bool
		fallbacks []string
	}{
		{name: "auto", mode: ModeAuto, uid: ext(0, 1001, 1, 1, 100000, 65536), how: helpersHow},
		{name: "the empty mode is auto", uid: ext(0, 1001, 1, 1, 100000, 65536), how: helpersHow},
		{name: "single", mode: ModeSingle, uid: ext(0, 1001, 1), how: How{Way: WaySelf}, stay: true},
		{name: "keep-id", mode: ModeKeepID, uid: ext(0, 100000, 1001, 1001, 1001, 1, 1002, 101001, 64535), how: helpersHow},
		{
			name: "several ranges in their order", uid: ext(0, 1001, 1, 1, 300000, 10, 11, 100000, 20), how: helpersHow,
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{300000, 10}, {100000, 20}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "adjacent ranges are joined", uid: ext(0, 1001, 1, 1, 300000, 30), how: helpersHow,
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{300000, 10}, {300010, 20}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "overlapping ranges count once", uid: ext(0, 1001, 1, 1, 300000, 30), how: helpersHow,
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{300000, 10}, {300005, 25}, {300000, 10}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "own id among the subordinate ones", uid: ext(0, 1001, 1, 1, 1000, 1, 2, 1002, 98), how: helpersHow,
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{1000, 100}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "own id is not joined", uid: ext(0, 1001, 1, 1, 1002, 98), how: helpersHow,
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{1002, 98}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "keep-id with few ids", mode: ModeKeepID, uid: ext(0, 100000, 10, 1001, 1001, 1), how: helpersHow,
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{100000, 10}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "keep-id over two ranges", mode: ModeKeepID, how: helpersHow,
			uid: ext(0, 100000, 1000, 1000, 300000, 1, 1001, 1001, 1, 1002, 300001, 99),
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{100000, 1000}, {300000, 100}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "keep-id with another gid", mode: ModeKeepID, how: helpersHow,
			uid:    ext(0, 100000, 1001, 1001, 1001, 1, 1002, 101001, 64535),
			gid:    ext(0, 100000, 100, 100, 100, 1, 101, 100100, 65436),
			change: func(c *Caller) { c.GID = 100 },
		},
		{
			name: "more ids than numbers inside", how: helpersHow,
			uid: ext(0, 1001, 1, 1, 2000, 4294965295, 4294965296, 0, 1001, 4294966297, 1002, 998),
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{2000, 4294965295}, {0, 2000}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "no subordinate uids", uid: ext(0, 1001, 1), how: How{Way: WaySelf}, stay: true,
			change:    func(c *Caller) { c.Subordinate.UID = nil },
			fallbacks: []string{"only one id is mapped: alice has no subordinate uids in /etc/subuid"},
		},
		{
			name: "no subordinate gids", uid: ext(0, 1001, 1), how: How{Way: WaySelf}, stay: true,
			change:    func(c *Caller) { c.Subordinate.GID = nil },
			fallbacks: []string{"only one id is mapped: alice has no subordinate gids in /etc/subgid"},
		},
		{
			name: "none in the directory service", uid: ext(0, 1001, 1), how: How{Way: WaySelf}, stay: true,
			change: func(c *Caller) {
				c.Subordinate = Subordinate{Source: "getsubids", Problem: "getsubids: Error fetching ranges"}
			},
			fallbacks: []string{"only one id is mapped: uid 1001 has no subordinate uids in the source that nsswitch.conf names (getsubids: Error fetching ranges)"},
		},
		{
			name: "keep-id without subordinate ids", mode: ModeKeepID, uid: ext(1001, 1001, 1), how: How{Way: WaySelf}, stay: true,
			change:    func(c *Caller) { c.Subordinate.UID = nil },
			fallbacks: []string{"only one id is mapped: alice has no subordinate uids in /etc/subuid"},
		},
		{
			name: "newuidmap missing", uid: ext(0, 1001, 1), how: How{Way: WaySelf}, stay: true,
			change:    func(c *Caller) { c.Helpers.UID = Helper{Problem: "newuidmap: not found in PATH"} },
			fallbacks: []string{"only one id is mapped: newuidmap: not found in PATH"},
		},
		{
			name: "newgidmap without privilege", uid: ext(0, 1001, 1), how: How{Way: WaySelf}, stay: true,
			change:    func(c *Caller) { c.Helpers.GID.Problem = "/usr/bin/newgidmap: neither setuid root nor …" },
			fallbacks: []string{"only one id is mapped: /usr/bin/newgidmap: neither setuid root nor …"},
		},
		{
			name: "no_new_privs", uid: ext(0, 1001, 1), how: How{Way: WaySelf}, stay: true,
			change:    func(c *Caller) { c.Bar = "no_new_privs is set" },
			fallbacks: []string{"only one id is mapped: newuidmap gains no privilege: no_new_privs is set"},
		},
		{
			name: "a problem beside usable ids", uid: ext(0, 1001, 1, 1, 100000, 65536), how: helpersHow,
			change:    func(c *Caller) { c.Subordinate.Problem = "/etc/subuid: line 3: a count of 0 grants nothing" },
			fallbacks: []string{"subordinate ids: /etc/subuid: line 3: a count of 0 grants nothing"},
		},
		{
			name: "subordinate ids that do not exist here", uid: ext(0, 1001, 1), how: How{Way: WaySelf}, stay: true,
			change:    func(c *Caller) { c.Parent = Maps{UID: ext(0, 100000, 65536), GID: ext(0, 100000, 65536)} },
			fallbacks: []string{"only one id is mapped: the subordinate uids 100000-165535 do not exist in this user namespace"},
		},
		{
			name: "subordinate ids that exist in part, split", uid: ext(0, 1001, 1, 1, 2000, 1000, 1001, 3000, 1000), how: helpersHow,
			change: func(c *Caller) {
				c.Parent = Maps{UID: ext(0, 0, 3000, 3000, 500000, 1000), GID: ext(0, 0, 3000, 3000, 500000, 1000)}
				c.Subordinate.UID = []Range{{2000, 5000}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "setgroups denied above", uid: ext(0, 1001, 1, 1, 100000, 65536), how: helpersHow, stay: true,
			change: func(c *Caller) { c.SetgroupsDenied = true },
		},
		{
			name: "root of the host", root: true, uid: ext(0, 0, 1, 1, 1, 65535), how: How{Way: WayDirect},
			fallbacks: []string{"no subordinate ids: the host's stand for themselves (uids 1-65535, gids 1-65535)"},
		},
		{
			name: "root of the host, with subordinate ids", root: true, uid: ext(0, 0, 1, 1, 100000, 65536), how: How{Way: WayDirect},
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{100000, 65536}}
				c.Subordinate.GID = c.Subordinate.UID
			},
		},
		{
			name: "root of the host, with subordinate uids", root: true,
			uid: ext(0, 0, 1, 1, 100000, 65536), gid: ext(0, 0, 1, 1, 1, 65535), how: How{Way: WayDirect},
			change:    func(c *Caller) { c.Subordinate.UID = []Range{{100000, 65536}} },
			fallbacks: []string{"no subordinate gids: the host's stand for themselves (1-65535)"},
		},
		{
			name: "root of the host, with subordinate gids", root: true,
			uid: ext(0, 0, 1, 1, 1, 65535), gid: ext(0, 0, 1, 1, 100000, 65536), how: How{Way: WayDirect},
			change:    func(c *Caller) { c.Subordinate.GID = []Range{{100000, 65536}} },
			fallbacks: []string{"no subordinate uids: the host's stand for themselves (1-65535)"},
		},
		{name: "root, single", root: true, mode: ModeSingle, uid: ext(0, 0, 1), how: How{Way: WayDirect}},
		{
			name: "root of a container", root: true, uid: ext(0, 0, 1, 1, 1, 65536), how: How{Way: WayDirect},
			change:    func(c *Caller) { c.Parent = Maps{UID: nested, GID: nested} },
			fallbacks: []string{"no subordinate ids: the host's stand for themselves (uids 1-65536, gids 1-65536)"},
		},
		{
			name: "root of a container of one id", root: true, uid: ext(0, 0, 1), how: How{Way: WayDirect}, stay: true,
			change: func(c *Caller) {
				c.Parent = Maps{UID: ext(0, 1001, 1), GID: ext(0, 1001, 1)}
				c.SetgroupsDenied = true
			},
			fallbacks: []string{"only one id is mapped: this user namespace has no uid but 0"},
		},
		{
			name: "a user with capabilities", root: true, how: How{Way: WayDirect},
			uid:       ext(0, 1001, 1, 1, 1, 1000, 1002, 1002, 64534),
			change:    func(c *Caller) { c.UID, c.GID = 1001, 1001 },
			fallbacks: []string{"no subordinate ids: the host's stand for themselves (uids 1-1000, 1002-65535, gids 1-1000, 1002-65535)"},
		},
		{
			name: "a user with capabilities, keep-id", root: true, mode: ModeKeepID, how: How{Way: WayDirect},
			uid:       ext(0, 0, 1001, 1001, 1001, 1, 1002, 1002, 64534),
			change:    func(c *Caller) { c.UID, c.GID = 1001, 1001 },
			fallbacks: []string{"no subordinate ids: the host's stand for themselves (uids 0-1000, 1002-65535, gids 0-1000, 1002-65535)"},
		},
		{
			name: "one capability is not enough", root: true, uid: ext(0, 0, 1), how: How{Way: WaySelf}, stay: true,
			change:    func(c *Caller) { c.CapSetGID = false },
			fallbacks: []string{"only one id is mapped: root has no subordinate uids in /etc/subuid"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller := plainCaller()
			if c.root {
				caller = rootCaller()
			}
			if c.change != nil {
				c.change(&caller)
			}
			if c.gid == nil {
				c.gid = c.uid
			}
			got, err := Compile(Request{Mode: c.mode}, caller)
			if err != nil {
				t.Fatal(err)
			}
			want := Result{Maps: Maps{UID: c.uid, GID: c.gid}, How: c.how, GroupsStay: c.stay, Fallbacks: c.fallbacks}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			if err := got.Maps.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCompileExplicit(t *testing.T) {
	for _, c := range []struct {
		name     string
		req      Request
		change   func(*Caller)
		root     bool
		uid, gid []plan.Extent
		way      Way
		err      string
	}{
		{name: "own and subordinate", req: Request{UID: ext(0, 1001, 1, 1, 100000, 10), GID: ext(0, 100005, 5)}, uid: ext(0, 1001, 1, 1, 100000, 10), gid: ext(0, 100005, 5), way: WayHelpers},
		{name: "own alone", req: Request{UID: ext(7, 1001, 1)}, uid: ext(7, 1001, 1), gid: ext(7, 1001, 1), way: WaySelf},
		{name: "sorted and joined", req: Request{Mode: ModeAuto, UID: ext(6, 100005, 5, 1, 100000, 5)}, uid: ext(1, 100000, 10), gid: ext(1, 100000, 10), way: WayHelpers},
		{name: "gid alone", req: Request{GID: ext(0, 1001, 1)}, uid: ext(0, 1001, 1), gid: ext(0, 1001, 1), way: WaySelf},
		{
			name: "across own and subordinate", req: Request{UID: ext(0, 1001, 11)},
			change: func(c *Caller) {
				c.Subordinate.UID = []Range{{1002, 10}}
				c.Subordinate.GID = c.Subordinate.UID
			},
			uid: ext(0, 1001, 1, 1, 1002, 10), gid: ext(0, 1001, 1, 1, 1002, 10), way: WayHelpers,
		},
		{name: "foreign id", req: Request{UID: ext(0, 0, 1)}, err: "--uidmap 0:0:1: host uid 0 is neither your own (1001) nor one of your subordinate uids (100000-165535)"},
		{name: "beyond the range", req: Request{UID: ext(0, 100000, 65537)}, err: "host uid 165536 is neither your own"},
		{name: "foreign gid", req: Request{UID: ext(0, 1001, 1), GID: ext(0, 5, 1)}, err: "--gidmap 0:5:1: host gid 5 is neither"},
		{
			name: "gid cannot follow", req: Request{UID: ext(0, 1001, 1)}, change: func(c *Caller) { c.GID = 100 },
			err: "--uidmap 0:1001:1: host gid 1001 is neither your own (100) nor one of your subordinate gids (100000-165535), and without --gidmap the gid map is the same",
		},
		{
			name: "uid cannot follow", req: Request{GID: ext(0, 100, 1)}, change: func(c *Caller) { c.GID = 100 },
			err: "--gidmap 0:100:1: host uid 100 is neither your own (1001) nor one of your subordinate uids (100000-165535), and without --uidmap the uid map is the same",
		},
		{name: "no subordinate ids", req: Request{UID: ext(0, 5, 1)}, change: func(c *Caller) { c.Subordinate = Subordinate{} }, err: "nor one of your subordinate uids (none)"},
		{name: "overlap", req: Request{UID: ext(0, 1001, 2, 1, 100000, 1)}, err: "--uidmap 0:1001:2 and 1:100000:1 overlap: both hold inside id 1"},
		{name: "zero count", req: Request{UID: ext(0, 1001, 0)}, err: "--uidmap 0:1001:0: a count of 0"},
		{name: "overflow", req: Request{GID: ext(0, 4294967290, 10)}, err: "--gidmap 0:4294967290:10: 10 host ids from 4294967290 pass the last id"},
		{name: "mode single", req: Request{Mode: ModeSingle, UID: ext(0, 1001, 1)}, err: "--userns=single and --uidmap or --gidmap exclude each other"},
		{name: "mode keep-id", req: Request{Mode: ModeKeepID, GID: ext(0, 1001, 1)}, err: "--userns=keep-id and --uidmap"},
		{name: "no helper", req: Request{UID: ext(0, 100000, 10)}, change: func(c *Caller) { c.Helpers.GID = Helper{Problem: "newgidmap: not found"} }, err: "--uidmap 0:100000:10: newgidmap: not found"},
		{name: "root takes any", root: true, req: Request{UID: ext(0, 5000000, 10, 10, 0, 1)}, uid: ext(0, 5000000, 10, 10, 0, 1), gid: ext(0, 5000000, 10, 10, 0, 1), way: WayDirect},
		{
			name: "root of a container takes what exists", root: true, req: Request{UID: ext(0, 0, 101)}, way: WayDirect,
			change: func(c *Caller) { c.Parent = Maps{UID: ext(0, 7, 50, 50, 1000, 100), GID: ext(0, 7, 200)} },
			uid:    ext(0, 0, 1, 1, 1, 49, 50, 50, 51), gid: ext(0, 0, 1, 1, 1, 100),
		},
		{
			name: "root of a container, beyond", root: true, req: Request{UID: ext(0, 0, 100)},
			change: func(c *Caller) { c.Parent = Maps{UID: ext(0, 7, 50), GID: ext(0, 7, 50)} },
			err:    "--uidmap 0:0:100: host uid 50 does not exist in this user namespace",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller := plainCaller()
			if c.root {
				caller = rootCaller()
			}
			if c.change != nil {
				c.change(&caller)
			}
			asked := slices.Clone(c.req.UID)
			got, err := Compile(c.req, caller)
			checkError(t, err, c.err)
			if !slices.Equal(got.Maps.UID, c.uid) || !slices.Equal(got.Maps.GID, c.gid) || got.How.Way != c.way {
				t.Errorf("got %+v", got)
			}
			if !slices.Equal(asked, c.req.UID) {
				t.Errorf("Compile changed its request to %v", c.req.UID)
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   Mode
		change func(*Caller)
		err    string
	}{
		{"unknown mode", "host", func(*Caller) {}, `"host": expected auto, single or keep-id`},
		{"no map", "", func(c *Caller) { c.Parent = Maps{} }, "this user namespace has no id map"},
		{"overflow uid", "", func(c *Caller) { c.UID, c.Parent.UID = 65534, ext(0, 1001, 1) }, "the caller's uid 65534 does not exist"},
		{"overflow gid", ModeSingle, func(c *Caller) { c.GID, c.Parent.GID = 65534, ext(0, 1001, 1) }, "the caller's gid 65534 does not exist"},
	} {
		t.Run(c.name, func(t *testing.T) {
			caller := plainCaller()
			c.change(&caller)
			_, err := Compile(Request{Mode: c.mode}, caller)
			checkError(t, err, c.err)
		})
	}
}

// A user whom /etc/subuid names on hundreds of lines keeps what the kernel takes.
func TestCompileManyRanges(t *testing.T) {
	for _, c := range []struct {
		name  string
		base  uint32
		n     int
		exact int // extents, 0: as many as fit the text
	}{
		{"extents", 2000, 340, 340},
		{"text", 1000000000, 340, 0},
	} {
		for _, mode := range []Mode{ModeAuto, ModeKeepID} {
			t.Run(c.name+" "+string(mode), func(t *testing.T) {
				caller := plainCaller()
				caller.UID = 500 // keep-id: behind what is kept
				var ranges []Range
				for i := range c.n {
					ranges = append(ranges, Range{c.base + uint32(i)*10, 1})
				}
				caller.Subordinate.UID, caller.Subordinate.GID = ranges, ranges
				r, err := Compile(Request{Mode: mode}, caller)
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Maps.Validate(); err != nil {
					t.Error(err)
				}
				if c.exact > 0 && len(r.Maps.UID) != c.exact {
					t.Errorf("%d extents", len(r.Maps.UID))
				}
				if len(r.Fallbacks) != 2 || !strings.Contains(r.Fallbacks[0], "extents of uids are left out") {
					t.Errorf("fallbacks %q", r.Fallbacks)
				}
				if in, ok := r.Maps.InsideUID(500); !ok || mode == ModeKeepID && in != 500 {
					t.Errorf("the caller is %d inside, %v", in, ok)
				}
			})
		}
	}
}

// Whatever the ranges are, auto and keep-id give each host id at most once, only
// granted ones, and lose none that there is room for.
func TestCompileHoldsAllIDs(t *testing.T) {
	for seed := range uint32(200) {
		next := seed*2654435761 + 1
		random := func(n uint32) uint32 { next = next*1664525 + 1013904223; return next >> 8 % 31 % n }
		caller := plainCaller()
		caller.UID, caller.GID = random(30), random(30)
		var ranges []Range
		for range 1 + random(5) {
			ranges = append(ranges, Range{random(31), 1 + random(12)})
		}
		caller.Subordinate.UID = ranges
		granted := map[uint32]bool{caller.UID: true}
		for _, r := range ranges {
			for id := uint64(r.Start); id < r.end(); id++ {
				granted[uint32(id)] = true
			}
		}
		for _, mode := range []Mode{ModeAuto, ModeKeepID} {
			r, err := Compile(Request{Mode: mode}, caller)
			if err == nil {
				err = r.Maps.Validate()
			}
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			n := 0
			for _, e := range r.Maps.UID {
				for i := range e.Count {
					if !granted[e.Outside+i] {
						t.Errorf("seed %d %s: %d is not granted", seed, mode, e.Outside+i)
					}
					n++
				}
			}
			if n != len(granted) {
				t.Errorf("seed %d %s: %d ids of %d: %s", seed, mode, n, len(granted), fmt.Sprint(r.Maps.UID))
			}
		}
	}
}

func TestParseMode(t *testing.T) {
	for _, s := range []string{"auto", "single", "keep-id"} {
		if m, err := ParseMode(s); err != nil || string(m) != s {
			t.Errorf("%s: %v, %v", s, m, err)
		}
	}
	_, err := ParseMode("keepid")
	checkError(t, err, `"keepid": expected auto, single or keep-id`)
}
