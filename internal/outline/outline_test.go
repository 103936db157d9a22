package outline_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shardload/internal/infer"
	"shardload/internal/input"
	"shardload/internal/outline"
	"shardload/internal/pgcsv"
)

// config reads the texts, each a file.
func config(t *testing.T, texts ...string) outline.Config {
	t.Helper()
	cfg := outline.Config{
		Header: outline.HeaderAuto, Encoding: "UTF8", Procs: 2,
		Reading: input.Reading{MaxRecord: 1 << 20, Dialect: pgcsv.CSV.Dialect()},
	}
	dir := t.TempDir()
	for i, text := range texts {
		path := filepath.Join(dir, fmt.Sprintf("x.%d.csv", i+1))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg.Files = append(cfg.Files, path)
	}
	return cfg
}

// columns writes what was found: name type, and "NOT NULL" as an exclamation mark.
func columns(o *outline.Outline) string {
	var list []string
	for _, c := range o.Columns {
		text := c.Name + " " + string(c.Type)
		if c.NotNull {
			text += "!"
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func TestRead(t *testing.T) {
	t.Parallel()
	text := func(cfg *outline.Config) { cfg.Reading.Dialect = pgcsv.Text.Dialect() }
	for name, tt := range map[string]struct {
		files   []string
		with    func(*outline.Config)
		want    string
		records int64
	}{
		"a header":               {files: []string{"id,name\n1,a\n2,\n"}, want: "id integer!, name text", records: 2},
		"none":                   {files: []string{"1,a\n2,\n"}, want: "c1 integer!, c2 text", records: 2},
		"texts that are records": {files: []string{"a,b\nc,d\n"}, with: func(c *outline.Config) { c.Header = outline.HeaderNo }, want: "c1 text!, c2 text!", records: 2},
		"numbers that are names": {files: []string{"2024,2025\n1,2\n"}, with: func(c *outline.Config) { c.Header = outline.HeaderYes }, want: "2024 integer!, 2025 integer!", records: 1},
		"a header alone":         {files: []string{"id,name\n"}, want: "id text, name text"},
		"all NULL":               {files: []string{"id,name\n1,\n2,\n"}, want: "id integer!, name text", records: 2},
		"empty is not NULL":      {files: []string{"id,name\n1,\"\"\n"}, want: "id integer!, name text!", records: 1},
		"another NULL":           {files: []string{"id,n\n1,-\n2,5\n"}, with: func(c *outline.Config) { c.Reading.Dialect.Null = "-" }, want: "id integer!, n integer", records: 2},
		"forced NULL":            {files: []string{"id,n\n1,\"\"\n2,5\n"}, with: func(c *outline.Config) { c.Forced.Null = []string{"n"} }, want: "id integer!, n integer", records: 2},
		"lines to skip":          {files: []string{"report\nid,n\n1,2\n"}, with: func(c *outline.Config) { c.Reading.Skip = 1 }, want: "id integer!, n integer!", records: 1},
		"several files":          {files: []string{"a,b\n1,2\n", "a,b\n1,x\n"}, want: "a integer!, b text!", records: 2},
		"another order":          {files: []string{"a,b\n1,x\n", "b,a\ny,2\n"}, want: "a integer!, b text!", records: 2},
		"the same header":        {files: []string{"a,b\n", "b,a\n1,2\n"}, want: "a integer!, b integer!", records: 1},
		"parts that are records": {files: []string{"a,b\n1,2\n", "a,c\n"}, with: func(c *outline.Config) { c.Header = outline.HeaderNo }, want: "c1 text!, c2 text!", records: 3},
		"text without a header":  {files: []string{"1\t2\n", "a\tb\n"}, with: text, want: "c1 text!, c2 text!", records: 2},
		"an empty part":          {files: []string{"", "a,b\n1,2\n", ""}, want: "a integer!, b integer!", records: 1},
		"parts without a header": {files: []string{"1,2\n", "3,4\n"}, want: "c1 integer!, c2 integer!", records: 2},
		"text":                   {files: []string{"1\t\\N\n2\ta\\tb\n"}, with: text, want: "c1 integer!, c2 text", records: 2},
		"text with a header":     {files: []string{"id\tname\n1\ta\n"}, with: func(c *outline.Config) { text(c); c.Header = outline.HeaderYes }, want: "id integer!, name text!", records: 1},
		"many chunks":            {files: []string{"id,n\n" + strings.Repeat("1,2\n", 900_000) + "x,\n"}, want: "id text!, n integer", records: 900_001},
	} {
		cfg := config(t, tt.files...)
		if tt.with != nil {
			tt.with(&cfg)
		}
		var p outline.Progress
		o, err := outline.Read(t.Context(), cfg, &p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := columns(o); got != tt.want || o.Records != tt.records {
			t.Errorf("%s: %s, %d records; want %s, %d", name, got, o.Records, tt.want, tt.records)
		}
		stored := int64(0)
		for _, f := range tt.files {
			stored += int64(len(f))
		}
		if n, _ := p.Records(); n != tt.records || p.Stored() != stored {
			t.Errorf("%s: %d records of %d bytes were read, want %d of %d", name, n, p.Stored(), tt.records, stored)
		}
	}
}

// The first record that a load would refuse is an error, with its place.
func TestErrors(t *testing.T) {
	t.Parallel()
	many := "id,n\n" + strings.Repeat("1,2\n", 300_000)
	yes := func(c *outline.Config) { c.Header = outline.HeaderYes }
	for name, tt := range map[string]struct {
		files []string
		with  func(*outline.Config)
		want  string
	}{
		"nothing":             {files: []string{""}, want: "x.1.csv: is empty"},
		"named twice":         {files: []string{"a,b,a\n"}, want: `x.1.csv:1: column "a": is named twice in the header; if it is a record and names no columns say so with Config.Header no`},
		"not named":           {files: []string{"a,,b\n"}, want: "x.1.csv:1: column 2 of 3 has no name"},
		"a system column":     {files: []string{"a,xmin\n"}, want: `column "xmin": each table has`},
		"another header":      {files: []string{"a,b\n1,2\n", "a,c\n1,2\n"}, with: yes, want: `x.2.csv:1: column "c": is not in `},
		"less of a header":    {files: []string{"a,b\n1,2\n", "a\n1\n"}, with: yes, want: `x.2.csv:1: column "b": is missing, and `},
		"other names":         {files: []string{"a,b\na,9\n", "c,d\n1,2\n"}, want: `x.1.csv is taken for a header, as all of its fields are texts, and this one is another: it has "c", and the header has not; if no file has a header say so with Config.Header no; if only`},
		"some other names":    {files: []string{"a,b\n1,2\n", "a,c\n1,2\n"}, want: `it has "c", and the header has not; if no file`},
		"less names":          {files: []string{"a,b\n1,2\n", "a\n1\n"}, want: `it has no "b"; if no file`},
		"a name twice":        {files: []string{"a,b\n1,2\n", "a,b,a\n1,2,3\n"}, want: `it has "a" twice; if no file`},
		"a record":            {files: []string{"a,b\n1,2\n", "", "3,\n"}, want: `x.3.csv:1: the first record of `},
		"a late header":       {files: []string{"1,2\n", "a,b\n3,4\n"}, want: `x.2.csv:1: the first record looks like a header, as all of its fields are texts, and that of `},
		"after a line":        {files: []string{"-\na,b\n1,2\n", "-\nc,d\n"}, with: func(c *outline.Config) { c.Reading.Skip = 1 }, want: `x.2.csv:2: `},
		"a long name":         {files: []string{strings.Repeat("n", 64) + ",b\n1,2\n"}, want: "the name is longer than 63 bytes, and PostgreSQL would cut it off; if it is a record and names no columns say so with Config.Header no"},
		"a field too few":     {files: []string{"a,b\n1,2\n3\n"}, want: "x.1.csv:3: 1 field, want 2"},
		"an open quote":       {files: []string{"a,b\n1,\"2\n"}, want: "x.1.csv:2: "},
		"no UTF-8":            {files: []string{"a,b\n1,\xff\n"}, want: `x.1.csv:2: column "b": is not valid UTF-8`},
		"a zero byte":         {files: []string{"a,b\n1,x\x00\n"}, want: `x.1.csv:2: column "b": holds a zero byte`},
		"line breaks":         {files: []string{"a,b\r\n1,2\n"}, want: "x.1.csv:"},
		"too long":            {files: []string{"a,b\n" + strings.Repeat("x", 2<<20) + ",2\n"}, want: "x.1.csv:2: "},
		"the first of two":    {files: []string{many + "3\n" + many[5:] + "3\n"}, want: "x.1.csv:300002: "},
		"forced, not there":   {files: []string{"a,b\n1,2\n"}, with: func(c *outline.Config) { c.Forced.Null = []string{"c"} }, want: `column "c": its NULLs are to be forced`},
		"a text in GBK":       {files: []string{"a\n1\n"}, with: func(c *outline.Config) { c.Encoding = "GBK" }, want: "which only a server can read; convert it: iconv"},
		"names in LATIN1":     {files: []string{"a,\xe9\n1,2\n"}, with: func(c *outline.Config) { c.Encoding = "LATIN1" }, want: "which only a server can read; convert it: iconv"},
		"no file":             {with: func(c *outline.Config) { c.Files = []string{"/nowhere/x.csv"} }, want: "/nowhere/x.csv: no such file"},
		"an archive":          {files: []string{"PK\x05\x06" + strings.Repeat("\x00", 18)}, want: "is a zip archive"},
		"the end of the data": {files: []string{"1\t2\n\\.\n3\t4\n"}, with: func(c *outline.Config) { c.Reading.Dialect = pgcsv.Text.Dialect() }, want: "x.1.csv:2: "},
	} {
		cfg := config(t, tt.files...)
		if tt.with != nil {
			tt.with(&cfg)
		}
		for range 3 { // whichever goroutine is first
			o, err := outline.Read(t.Context(), cfg, &outline.Progress{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %+v, error %v; want %q", name, o, err, tt.want)
			}
		}
	}
}

// In another encoding values are not looked at as UTF-8.
func TestEncoding(t *testing.T) {
	t.Parallel()
	cfg := config(t, "a,b\n1,\xe9\n")
	cfg.Encoding = "LATIN1"
	if o, err := outline.Read(t.Context(), cfg, &outline.Progress{}); err != nil || columns(o) != "a integer!, b text!" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestStandardInput(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte("a,b\n1,2\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := config(t)
	cfg.Files, cfg.Stdin = []string{"-"}, &b
	o, err := outline.Read(t.Context(), cfg, &outline.Progress{})
	if err != nil || columns(o) != "a integer!, b integer!" || o.Columns[0].Type != infer.Integer {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := fmt.Errorf("stopped")
	cancel(stopped)
	if _, err := outline.Read(ctx, config(t, "a,b\n1,2\n"), &outline.Progress{}); err == nil {
		t.Error("it went on")
	}
}

// Any record of JSON may be the first with a key, and what is none stands where it stood.
func TestJSON(t *testing.T) {
	t.Parallel()
	asJSON := func(texts ...string) outline.Config {
		cfg := config(t, texts...)
		cfg.Reading.Format, cfg.Reading.Dialect = input.JSON, pgcsv.Text.Dialect()
		return cfg
	}
	many := strings.Repeat("{\"a\":1}\n", 200_000)
	late := many + "{\"a\":1,\"nested\":null}\n{\"a\":1,\"nested\":{}}\n"
	for name, tt := range map[string]struct {
		files []string
		want  string
		err   string
	}{
		"a key at the end": {files: []string{many + "{\"a\":2,\"b\":[1]}\n"}, want: "a integer!, b jsonb"},
		"an array":         {files: []string{"[{\"b\":\"x\\ty\"},\n{\"a\":null,\"b\":\"\"}]\n"}, want: "b text!, a text"},
		"several files":    {files: []string{"{\"a\":1}\n", "{\"b\":\"007\",\"a\":1.5}\n"}, want: "a numeric!, b text"},
		"other values":     {files: []string{"{\"a\":\"{\",\"b\":1}\n" + many + "{\"a\":{\"x\":1},\"b\":\"[1]\"}\n"}, want: "a jsonb!, b text"},
		"in another file":  {files: []string{"{\"a\":1}\n", "{\"a\":[]}\n", "{\"a\":\"\\u0041\"}\n"}, want: "a jsonb!"},
		"a key twice":      {files: []string{"{\"a\":{\"x\":1,\"x\":2}}\n{\"a\":1}\n"}, want: "a json!"},
		"a zero character": {files: []string{"{\"a\":[]}\n{\"a\":\"\\u0000\"}\n"}, want: "a json!"},
		"a large number":   {files: []string{"{\"a\":[1e400000]}\n"}, want: "a json!"},
		"half a pair":      {files: []string{"{\"a\":[\"\\ud800\"]}\n{\"a\":null}\n"}, want: "a json"},
		"a late key":       {files: []string{late}, want: "a integer!, nested jsonb"},
		"a name":           {files: []string{"{\"\":1}\n"}, err: "x.1.csv:1: column 1 of 1 has no name"},
		"a bad record":     {files: []string{many + "{\"a\":}\n" + many}, err: "x.1.csv:200001: "},
		"no text":          {files: []string{"{\"a\":\"\\u0000\"}\n"}, err: "x.1.csv:1: column \"a\": "},
		"nothing":          {files: []string{""}, err: "is empty"},
		"standard input":   {files: []string{""}, err: "standard input can be read once; write it to a file"},
	} {
		cfg := asJSON(tt.files...)
		if name == "standard input" {
			cfg.Files = []string{"-"}
		}
		var p outline.Progress
		o, err := outline.Read(t.Context(), cfg, &p)
		if tt.err != "" {
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %+v, error %v; want %q", name, o, err, tt.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := columns(o); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if n := int64(len(strings.Join(tt.files, ""))); p.Stored() != n {
			t.Errorf("%s: %d bytes were read, want %d", name, p.Stored(), n)
		}
	}
}
