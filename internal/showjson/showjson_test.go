package showjson

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	v := map[string][]string{
		"x\n\x1b[31m\u009b31m": {"\u202egpj", "\x7f", "\u2028", "\U000e0001", "é<&>世界", "plain", `back\slash "quote"`, "\u00ad"},
	}
	var b bytes.Buffer
	if err := Encode(&b, v); err != nil {
		t.Fatal(err)
	}
	for _, r := range b.String() {
		if r != '\n' && !strconv.IsPrint(r) {
			t.Errorf("%U in %q", r, b.String())
		}
	}
	var back map[string][]string
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || !reflect.DeepEqual(back, v) {
		t.Errorf("%q reads back as %q, %v", b.String(), back, err)
	}
	if !strings.Contains(b.String(), "é<&>世界") || !strings.HasSuffix(b.String(), "\n}\n") {
		t.Errorf("got %q", b.String())
	}
	if err := Encode(&b, func() {}); err == nil {
		t.Error("a function was encoded")
	}
}
