package launch

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// What a volatile overlay leaves goes without a namespace.
func TestRemoveTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "layers")
	if err := errors.Join(
		os.MkdirAll(dir+"/upper/etc", 0o700), os.MkdirAll(dir+"/work/work/incompat/volatile", 0o700), os.WriteFile(dir+"/"+layersAbout, nil, 0o600),
		os.Chmod(dir+"/work/work/incompat", 0), os.Chmod(dir+"/work/work", 0),
	); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := RemoveTree(dir); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is left (%v)", err)
		}
	}
}
