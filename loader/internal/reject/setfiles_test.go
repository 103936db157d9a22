package reject

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSetFiles holds that a process which writes what a killed one has written already, and that is in the database still,
// replaces its files; that other records of the set get files of their own; and that nothing is
// left where the records cannot be read.
func TestSetFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	form, err := Form{Extension: ".csv", Header: []byte("id\n")}.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	write := func(fails error, records ...string) {
		t.Helper()
		files := SetFiles{Dir: dir, Table: "t", Set: "the-set", Forms: map[string][]byte{"run": form}}
		_, _, err := files.Write(func(fn func(string, []byte) error) error {
			for i, r := range records {
				if err := fn("run", fmt.Appendf(nil, `{"job":"the-set","line":%d,"record":%q}`, i+2, r)); err != nil {
					return err
				}
			}
			return fails
		})
		if !errors.Is(err, fails) {
			t.Fatal(err)
		}
	}
	check := func(want map[string]string) {
		t.Helper()
		got := map[string]string{}
		names, _ := filepath.Glob(dir + "/*")
		hidden, _ := filepath.Glob(dir + "/.*")
		for _, name := range append(names, hidden...) {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if filepath.Ext(name) == ".jsonl" {
				text = nil
			}
			got[filepath.Base(name)] = string(text)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("files (-want +got):\n%s", diff)
		}
	}
	write(errors.New("the server is gone"), "a")
	check(map[string]string{})
	write(nil, "b")
	write(nil, "a", "b", "c") // b is there on line 3, and so another record
	write(nil, "b", "c")
	check(map[string]string{"t.rejects.jsonl": "", "t.rejects.csv": "id\nb\nc\n", "t.rejects.2.jsonl": "", "t.rejects.2.csv": "id\na\nb\nc\n"})
}
