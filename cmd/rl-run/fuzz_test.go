package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// FuzzParse reads words that newlines separate. Whatever they are, there is no
// panic, and an error makes one line without control characters.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"tree\ntrue",
		"-it\n--rm\n-v\n/a:/b:ro\n-e\nA=b\ntree\nsh\n-c\necho",
		"--uidmap\n0:100000:65536\n--gidmap=0:1:1\n-u\nnobody:nogroup\ntree",
		"--mount\ntype=bind,src=/a,dst=/b\n--tmpfs=/t:size=1m\n--device\n/dev/null\ntree",
		"--security-opt\nseccomp=unconfined\n--security-opt=mask=/proc/a:/proc/b\n--cap-add\nNET_ADMIN,ALL\ntree",
		"--size\n1.5g\n--copy\n--explain=json\n-w/tmp\n-hname\ntree",
		"--\n--rw", "-", "--=", "---x", "-\x1b[31m", "--\x00", "-h", "--rw=x", "-test.v\ntree", "-v=\ntree", "--stop-signal=RTMIN+\ntree",
		"--net=db\n--ip\n10.9.8.7\n--network-alias=a_b.c\n--dns-search\n.\n--dns-option=ndots:1\ntree",
		"--add-host\na:[::1]\n--dns\n::1%eth0\n--net\ncontainer:x\ntree",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, "\n")
		for _, a := range args {
			if strings.Contains(a, "env-file") {
				return // it would read files of the machine
			}
		}
		parsed, err := parse(args)
		switch {
		case err == nil:
			if s := parsed.spec; !parsed.version && s.Rootfs == "" {
				t.Errorf("%q: no ROOTFS and no error", args)
			}
		case errors.Is(err, pflag.ErrHelp):
		default:
			text := err.Error()
			if text == "" || strings.ContainsAny(oneLine(text), "\n\r\x1b\x00") {
				t.Errorf("%q: the error is %q", args, text)
			}
			if strings.Contains(text, "strconv") || strings.Contains(text, "pflag") {
				t.Errorf("%q: the error speaks of the program: %q", args, text)
			}
		}
	})
}
