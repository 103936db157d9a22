package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/fault"
	"shardload/loader"
)

// TestErrorCodes holds that docs/errors.md has each code, and no other, with what is said, why,
// and what to do.
func TestErrorCodes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	codes := []string{codeInterrupted, codeFailed}
	for _, c := range errorCodes() {
		codes = append(codes, c.code)
	}
	var found []string
	for _, section := range regexp.MustCompile(`(?m)^## `).Split(string(page), -1)[1:] {
		code, text, _ := strings.Cut(section, "\n")
		found = append(found, code)
		if !regexp.MustCompile(`(?s)^\nSays: .+\n\nWhy: .+\n\nDo: .+`).MatchString(text) {
			t.Errorf("%s: want Says:, Why: and Do:", code)
		}
	}
	slices.Sort(codes)
	slices.Sort(found)
	if diff := cmp.Diff(codes, found); diff != "" {
		t.Errorf("codes (-program +page):\n%s", diff)
	}
}

// TestErrorDocument holds what is said of an error.
func TestErrorDocument(t *testing.T) {
	t.Parallel()
	refused := &loader.RefusedError{SQLState: "23505", Message: "duplicate key", Hint: "Config.OnConflict skip keeps the row that is there, update the new one"}
	row := &loader.RowError{File: "a.csv", Line: 7, LastLine: 9, Column: "id", Err: refused, Keepable: true}
	for name, tt := range map[string]struct {
		err  error
		want errorJSON
	}{
		"a record": {row, errorJSON{
			Code: "bad_record", File: "a.csv", Line: 7, LastLine: 9, Column: "id", SQLState: "23505",
			Message: `a.csv:7-9: column "id": duplicate key (--on-conflict skip keeps the row that is there, --on-conflict update the new one); --max-errors N keeps such records aside`,
			Do:      "--max-errors N keeps such records aside; --on-conflict skip keeps the row that is there, --on-conflict update the new one",
		}},
		"a job": {&workingError{jobStatus{Job: "j", Input: "a.csv", Table: "t"}}, errorJSON{
			Code: "job_running", Message: "j: a process is loading a.csv into t; end it first, and if it was killed try again in a moment", Do: "wait for the load, or end it",
		}},
		"usage": {&usageError{"no", "shardload --help"}, errorJSON{Code: "usage", Message: "no", Do: "shardload --help"}},
		"too many": {&loader.TooManyError{Rejected: 2, Read: 3, Last: *row}, errorJSON{
			Code: "too_many_errors", File: "a.csv", Line: 7, LastLine: 9, Column: "id", SQLState: "23505",
			Message: `2 records of the 3 read so far cannot be stored, more than --max-errors 0 allows; the last one: a.csv:7-9: column "id": duplicate key (--on-conflict skip keeps the row that is there, --on-conflict update the new one); allow more of them and go on: what is kept aside can be mended and loaded`,
			Do:      "mend the input, or allow more with --max-errors",
		}},
		"a file":   {&fs.PathError{Op: "open", Path: "a", Err: fs.ErrPermission}, errorJSON{Code: "file", Message: "open a: permission denied", File: "a"}},
		"advice":   {fault.Advise(fmt.Errorf("so it is"), "name another job"), errorJSON{Code: "failed", Message: "so it is; name another --job", Do: "name another --job"}},
		"Ctrl-C":   {fmt.Errorf("x: %w", context.Canceled), errorJSON{Code: "interrupted", Message: "interrupted"}},
		"no file":  {fmt.Errorf("x: %w", fs.ErrNotExist), errorJSON{Code: "no_file", Message: "x: file does not exist", Do: "check the name"}},
		"as it is": {fmt.Errorf("a\x1bb"), errorJSON{Code: "failed", Message: "a\x1bb"}},
	} {
		if diff := cmp.Diff(&tt.want, errorDocument(t.Context(), tt.err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
