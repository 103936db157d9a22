package ledger

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

// TestOlderReadings holds that the words which jobs of earlier versions have mean what the
// fields mean that are kept now. They are from tables of jobs that those versions have made.
func TestOlderReadings(t *testing.T) {
	t.Parallel()
	const chunk = 1 << 20
	for _, c := range []struct {
		older  string
		form   Form
		shares Shares
	}{
		{
			`{"form": "delimiter ',', null \"\", encoding UTF8, with a header, chunks of 1048576", "lanes": "primary key (id bigint)", "version": 1}`,
			Form{Format: "csv", Delimiter: ",", Encoding: "UTF8", Header: true, Chunk: chunk},
			Shares{By: ByPrimary, Columns: []string{"id bigint"}},
		},
		{
			`{"form": "delimiter ';', null \"\", encoding UTF8, without a header, chunks of 1048576", "lanes": "their place in the input", "version": 1}`,
			Form{Format: "csv", Delimiter: ";", Encoding: "UTF8", Chunk: chunk},
			Shares{By: ByPlace},
		},
		{
			`{"form": "delimiter '\\t', null \"\\\\N\", encoding LATIN1, without a header, format text, chunks of 1048576", "lanes": ""}`,
			Form{Format: "text", Delimiter: "\t", Null: `\N`, Encoding: "LATIN1", Chunk: chunk},
			Shares{},
		},
		{
			`{"form": "delimiter ',', null \"\", encoding UTF8, with a header, chunks of 1048576", "lanes": "key (a integer, b text)"}`,
			Form{Format: "csv", Delimiter: ",", Encoding: "UTF8", Header: true, Chunk: chunk},
			Shares{By: ByKey, Columns: []string{"a integer", "b text"}},
		},
		{
			`{"form": "delimiter ',', null \"\", encoding UTF8, with a header, chunks of 1048576", "lanes": "at as the server reads it (TimeZone UTC, DateStyle ISO, MDY, IntervalStyle postgres)"}`,
			Form{Format: "csv", Delimiter: ",", Encoding: "UTF8", Header: true, Chunk: chunk},
			Shares{By: ByReading, Columns: []string{"at"}, Reading: "TimeZone UTC, DateStyle ISO, MDY, IntervalStyle postgres"},
		},
	} {
		was, err := readRecord("job", c.older)
		if err != nil {
			t.Fatal(err)
		}
		now := Fingerprint{Reads: c.form, Shares: c.shares}
		if how := was.Reading(now); how != "" {
			t.Errorf("%s: %s", c.older, how)
		}
		text, err := jobRecord{Fingerprint: now}.text()
		if err != nil {
			t.Fatal(err)
		}
		again, err := readRecord("job", text)
		if err != nil || !reflect.DeepEqual(again.Reads, c.form) || again.Reading(now) != "" || was.Reading(again.Fingerprint) != "" {
			t.Errorf("%s: %v", text, err)
		}
		now.Reads.Header = !now.Reads.Header
		if was.Reading(now) == "" {
			t.Errorf("%s: another form is taken for the same", c.older)
		}
	}
}

// TestUnusualReadings holds that each of what is seldom said of an input makes another form, which
// earlier versions do not go on with, and that nothing of it is kept where it is not said.
func TestUnusualReadings(t *testing.T) {
	t.Parallel()
	usual := Form{Format: "csv", Delimiter: ",", Encoding: "UTF8", Chunk: 1}
	text, err := jobRecord{Fingerprint: Fingerprint{Reads: usual}}.text()
	if err != nil || !strings.Contains(text, `"version":2,`) || strings.Contains(text, "quote") || strings.Contains(text, "skip") || strings.Contains(text, "force") {
		t.Errorf("%s, %v", text, err)
	}
	seen := map[string]bool{usual.String(): true}
	for _, change := range []func(*Form){
		func(f *Form) { f.Quote = "'" },
		func(f *Form) { f.Quote = "none" },
		func(f *Form) { f.Escape = `\` },
		func(f *Form) { f.ForceNull = []string{"a"} },
		func(f *Form) { f.ForceNotNull = []string{"a"} },
		func(f *Form) { f.ForceNotNull = []string{"a", "b"} },
		func(f *Form) { f.Skip = 1 },
		func(f *Form) { f.Skip = 2 },
	} {
		form := usual
		change(&form)
		if seen[form.String()] || form.Same(usual) {
			t.Errorf("%s is taken for another form", form)
		}
		seen[form.String()] = true
		text, err := jobRecord{Fingerprint: Fingerprint{Reads: form}}.text()
		again, readErr := readRecord("job", text)
		if err != nil || readErr != nil || again.Version != 3 || !reflect.DeepEqual(again.Reads, form) {
			t.Errorf("%s: %v, %v", text, err, readErr)
		}
	}
}

// TestLaterVersion holds that a job of a later version is told from one that cannot be read,
// whatever its fields are there.
func TestLaterVersion(t *testing.T) {
	t.Parallel()
	_, err := readRecord("job", `{"version": 1000, "size": "12 rows", "reads": 7}`)
	if later, ok := errors.AsType[*VersionError](err); !ok || later.Version != 1000 || later.Job != "job" {
		t.Errorf("error %v", err)
	}
	if _, err := readRecord("job", `{"version": 2, "size": "12 rows"}`); err == nil {
		t.Error("no error")
	}
}

// TestChosen holds that an input is read otherwise with another list or condition, that its
// values are others with other constants, and that an earlier version cannot go on with it.
func TestChosen(t *testing.T) {
	t.Parallel()
	was := Form{Format: "csv", Chosen: Chosen{Select: "a", Where: "b", Constants: []string{`c "1"`}}}
	if !was.Same(was) || was.Changed(was) != "" || was.version() != 3 {
		t.Errorf("%s, version %d", was, was.version())
	}
	for _, now := range []Form{
		{Format: "csv"},
		{Format: "csv", Chosen: Chosen{Select: "a"}},
		{Format: "csv", Chosen: Chosen{Select: "b", Where: "b", Constants: was.Constants}},
		{Format: "csv", Chosen: Chosen{Select: "a", Where: "c", Constants: was.Constants}},
	} {
		if was.Same(now) || now.Same(was) {
			t.Errorf("%s is taken for %s", now, was)
		}
	}
	now := was
	if now.Constants = []string{`c "2"`}; was.Changed(now) == "" || !was.Same(now) {
		t.Errorf("other constants: %q", was.Changed(now))
	}
	text, err := jobRecord{Fingerprint: Fingerprint{Reads: was}}.text()
	if err != nil {
		t.Fatal(err)
	}
	if again, err := readRecord("job", text); err != nil || !reflect.DeepEqual(again.Reads, was) {
		t.Errorf("%s: %+v, %v", text, again.Reads, err)
	}
}
