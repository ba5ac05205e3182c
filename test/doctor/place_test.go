package doctor

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"github.com/rl-run/rl-run/internal/leak"
	"github.com/rl-run/rl-run/internal/trial"
	"github.com/rl-run/rl-run/launch"
)

// ground is a script that makes a machine of its own, as root of a user namespace, in a mount namespace: a user u without
// privilege, who has subordinate ids and a newuidmap that is setuid root there. Behind it come what breaks that machine, and
// what u calls, by as_u.
const ground = `bin=$1 tree=$2; shift 2
	mount -t tmpfs -o mode=755 none /mnt; mkdir /mnt/bin /mnt/helpers; mount --bind "$bin" /mnt/bin
	mount -t tmpfs none /tmp; [ ! -d /run/user ] || mount -t tmpfs none /run/user
	cp -a "$tree" /mnt/tree; chown -R 1000:1000 /mnt/tree
	file() { cat >/mnt/over; chmod $2 /mnt/over; cp -p /mnt/over /mnt/$(basename $1).$$; mount --bind /mnt/$(basename $1).$$ $1; }
	helpers=/mnt/helpers; mount -t tmpfs -o mode=755 none $helpers
	for kind in uid gid; do
		cp /usr/bin/new${kind}map $helpers; echo u:2000:65536 | file /etc/sub$kind 644
		file /usr/bin/new${kind}map 644 </dev/null # which is of no use in this user namespace
	done
	chmod 4755 $helpers/*
	{ echo u:x:1000:1000::/:/bin/sh; cat /etc/passwd; } | file /etc/passwd 644
	old() { sed "s/$2/x${2#?}/g" $(readlink -f /usr/bin/$1) >$helpers/$1; chmod 755 $helpers/$1; } # old PROGRAM OPTION, which it lacks then
	as_u() { env -i PATH=${path-$helpers:/usr/bin:/bin:/usr/sbin:/sbin} HOME=/ /usr/bin/setpriv ${more-} --reuid 1000 --regid 1000 --clear-groups --inh-caps=-all -- "$@"; }
	`

// on runs a script behind ground.
func on(t *testing.T, script string) trial.Result {
	t.Helper()
	trial.NeedUser(t)
	leak.Watch(t)
	return trial.Command{Path: trial.Bin(t, "rl-unshare"), Args: slices.Concat(
		[]string{"--quiet", "unshare", "-mpf", "--kill-child", "--mount-proc", "sh", "-euc", ground + script, "sh"},
		[]string{filepath.Dir(trial.Bin(t, "rl-run")), trial.Tree(t, "busybox")},
	)}.Run(t)
}

// findings reads what rl-doctor --json prints.
func findings(t *testing.T, r trial.Result) map[string]launch.Finding {
	t.Helper()
	var list []launch.Finding
	if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
		t.Fatalf("exit code %d, %q, %q: %v", r.Code, r.Stdout, r.Stderr, err)
	}
	byPart := make(map[string]launch.Finding)
	for _, f := range list {
		byPart[f.Part] = f
	}
	return byPart
}
