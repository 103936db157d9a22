package parquettext_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"shardload/internal/parquettext"
)

// corpus returns the Parquet files that parquet-go is tested with, most of which are those of
// https://github.com/apache/parquet-testing: of Impala, Spark, Arrow and others.
func corpus(t testing.TB) (paths []string) {
	t.Helper()
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/parquet-go/parquet-go").Output()
	if err != nil {
		t.Skipf("the module's source cannot be found: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(dir)), "testdata")
	for _, pattern := range []string{"*.parquet", "*/*.parquet"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) < 40 {
		t.Skipf("%s has %d files", root, len(paths))
	}
	return paths
}

// TestCorpus holds that flat columns have the values that parquet-go reads, which is another
// reader of pages and of values.
func TestCorpus(t *testing.T) {
	t.Parallel()
	columns := 0
	for _, path := range corpus(t) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		f, err := parquettext.Open(strings.NewReader(string(data)), int64(len(data)), parquettext.Options{})
		if err != nil {
			if !strings.Contains(path, "malformed") {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		theirs, err := parquet.OpenFile(strings.NewReader(string(data)), int64(len(data)))
		if err != nil {
			continue // which parquet-go does not read
		}
		for i, c := range theirs.Root().Columns() {
			if !c.Leaf() || c.Repeated() || strings.Contains(path, "malformed") || name == theirsIsWrong {
				continue
			}
			want, err := valuesOf(theirs, c)
			if err != nil {
				t.Errorf("%s: parquet-go: %v", name, err)
				continue
			}
			as := parquettext.AsValue
			if c.Type().LogicalType() == nil && (c.Type().Kind() == parquet.ByteArray || c.Type().Kind() == parquet.FixedLenByteArray) {
				as = parquettext.AsBytea
			}
			got, faults := text(t, f, []parquettext.Field{{Name: f.Columns()[i].Name, As: as}})
			if diff := cmp.Diff(want, strings.Split(strings.TrimSuffix(got, "\n"), "\n")); diff != "" && f.Rows() > 0 || len(faults) > 0 {
				t.Errorf("%s: column %s: %v %s", name, c.Name(), faults, diff[:min(len(diff), 1500)])
			}
			columns++
		}
	}
	if columns < 200 {
		t.Errorf("only %d columns were compared", columns)
	}
}

// theirsIsWrong is a file of which parquet-go 0.32.0 reads empty texts without an error. Ours are
// compared in TestNested.
const theirsIsWrong = "lz4_raw_compressed_larger.parquet"

// valuesOf returns the values of a flat column as parquet-go reads them, as text.
func valuesOf(f *parquet.File, c *parquet.Column) (list []string, err error) {
	for _, g := range f.RowGroups() {
		pages := g.ColumnChunks()[c.Index()].Pages()
		for {
			page, err := pages.ReadPage()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			values := make([]parquet.Value, page.NumValues())
			n, err := page.Values().ReadValues(values)
			if n != len(values) && !errors.Is(err, io.EOF) {
				return nil, err
			}
			for _, v := range values[:n] {
				list = append(list, theirText(c, v))
			}
		}
		if err := pages.Close(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// theirText returns the text of a value, by other means than the package has.
func theirText(c *parquet.Column, v parquet.Value) string {
	if v.IsNull() {
		return `\N`
	}
	if l := c.Type().LogicalType(); l != nil {
		switch t := l.Value.(type) {
		case *format.DateType:
			return time.Unix(int64(v.Int32())*86400, 0).UTC().Format(time.DateOnly)
		case *format.DecimalType:
			return theirDecimal(c.Type(), v, int(t.Scale))
		case *format.TimestampType:
			zone := ""
			if t.IsAdjustedToUTC {
				zone = "+00"
			}
			return time.Unix(0, v.Int64()*int64(t.Unit.Value.Duration())).UTC().Format("2006-01-02 15:04:05.999999999") + zone
		case *format.TimeType:
			n := v.Int64()
			if c.Type().Kind() == parquet.Int32 {
				n = int64(v.Int32())
			}
			return time.Unix(0, n*int64(t.Unit.Value.Duration())).UTC().Format("15:04:05.999999999")
		case *format.IntType:
			if !t.IsSigned && t.BitWidth == 64 {
				return fmt.Sprint(uint64(v.Int64()))
			}
		case *format.UUIDType:
			s := hex.EncodeToString(v.ByteArray())
			return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
		}
		if v.Kind() == parquet.ByteArray && utf8.Valid(v.ByteArray()) {
			return strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(string(v.ByteArray()))
		}
	}
	switch v.Kind() {
	case parquet.Boolean:
		return map[bool]string{true: "t", false: "f"}[v.Boolean()]
	case parquet.ByteArray, parquet.FixedLenByteArray:
		return `\\x` + hex.EncodeToString(v.ByteArray())
	case parquet.Float:
		if f := float64(v.Float()); math.Abs(f) >= 1e-4 && math.Abs(f) < 1e6 {
			return strconv.FormatFloat(f, 'f', -1, 32)
		}
	case parquet.Double:
		if f := v.Double(); math.Abs(f) >= 1e-4 && math.Abs(f) < 1e15 {
			return strconv.FormatFloat(f, 'f', -1, 64)
		}
	case parquet.Int96:
		n := v.Int96()
		nanos := int64(n[1])<<32 | int64(n[0])
		return time.Unix((int64(n[2])-2440588)*86400, nanos).UTC().Format("2006-01-02 15:04:05.999999999")
	}
	return v.String()
}

func theirDecimal(t parquet.Type, v parquet.Value, scale int) string {
	n := new(big.Int)
	switch t.Kind() {
	case parquet.Int32:
		n.SetInt64(int64(v.Int32()))
	case parquet.Int64:
		n.SetInt64(v.Int64())
	default:
		b := v.ByteArray()
		n.SetBytes(b)
		if len(b) > 0 && b[0] >= 0x80 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
		}
	}
	if scale == 0 {
		return n.String()
	}
	return new(big.Rat).SetFrac(n, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(scale)), nil)).FloatString(scale)
}

// TestNested holds what columns that are nested become, of files of several writers.
func TestNested(t *testing.T) {
	t.Parallel()
	wants := map[string]string{
		"list_columns.parquet":        "{1,2,3}\t{abc,efg,hij}\n{NULL,1}\t\\N\n{4}\t{efg,NULL,hij,xyz}\n",
		theirsIsWrong:                 "c7ce6bef-d5b0-4863-b199-8ea8c7fb117b\ne8fb9197-cb9f-4118-b67f-fbfa65f61843\n",
		"null_list.parquet":           "{}\n",
		"nested_lists.snappy.parquet": "{{{a,b},{c}},{NULL,{d}}}\t1\n{{{a,b},{c,d}},{NULL,{e}}}\t1\n{{{a,b},{c,d},{e}},{NULL,{f}}}\t1\n",
		"nested_maps.snappy.parquet": `{"a": {"1": true, "2": false}}	1	1
{"b": {"1": true}}	1	1
{"c": null}	1	1
{"d": {}}	1	1
{"e": {"1": true}}	1	1
{"f": {"3": true, "4": false, "5": true}}	1	1
`,
		"nonnullable.impala.parquet": `8	{-1}	{{-1,-2},{}}	{"k1": -1}	[{}, {"k1": 1}, {}, {}]	{"a": -1, "B": [-1], "c": {"D": [[{"e": -1, "f": "nonnullable"}]]}, "G": {}}
`,
		"repeated_no_annotation.parquet": "1\t\\N\n2\t\\N\n3\t{\"phone\": []}\n4\t{\"phone\": [{\"number\": 5555555555, \"kind\": null}]}\n" +
			"5\t{\"phone\": [{\"number\": 1111111111, \"kind\": \"home\"}]}\n" +
			"6\t{\"phone\": [{\"number\": 1111111111, \"kind\": \"home\"}, {\"number\": 2222222222, \"kind\": null}, {\"number\": 3333333333, \"kind\": \"mobile\"}]}\n",
		"nulls.snappy.parquet": strings.Repeat("{\"b_c_int\": null}\n", 8),
	}
	found := 0
	for _, path := range corpus(t) {
		want, ok := wants[filepath.Base(path)]
		if !ok {
			continue
		}
		found++
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f := open(t, data, parquettext.Options{})
		fields := all(f, 0)
		for i := range fields {
			for _, as := range []parquettext.As{parquettext.AsValue, parquettext.AsArray, parquettext.AsJSON} {
				fields[i].As = as
				if _, err := f.NewReader(fields[i : i+1]); err == nil {
					break
				}
			}
		}
		got, faults := text(t, f, fields)
		if filepath.Base(path) == theirsIsWrong {
			if n := strings.Count(got, "\n"); n != 10_000 || len(got) != 370_000 {
				t.Errorf("%s has %d rows, %d bytes", path, n, len(got))
			}
			got = got[:len(want)]
		}
		if got != want || len(faults) > 0 {
			t.Errorf("%s: got\n%s%v, want\n%s", filepath.Base(path), got, faults, want)
		}
	}
	if found != len(wants) {
		t.Errorf("%d of %d files were found", found, len(wants))
	}
}
