package infer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// of returns what follows for a column of these values; "\x00" stands for NULL.
func of(values ...string) Finding {
	c := &NewColumns(1)[0]
	for _, v := range values {
		if v == "\x00" {
			c.AddNull()
		} else {
			c.Add([]byte(v))
		}
	}
	return c.Finding("c")
}

// The type is the narrowest that gives all values back; what is unclear is text.
func TestType(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		values string // by blanks; _ is the empty one
		want   Type
	}{
		{"", Text},
		{"0 -1 2147483647 -2147483648", Integer},
		{"1 2147483648", Bigint},
		{"9223372036854775807 -9223372036854775808", Bigint},
		{"1 9223372036854775808", Numeric},
		{"1 2 3.50", Numeric},
		{"0.1 -0.25 12345678901234567890.123", Numeric},
		{"007", Text},
		{"7 007", Text},
		{"00", Text},
		{"1 01.5", Text},
		{"+1", Text},
		{"1,5", Text},
		{"1_000", Text},
		{"0x10", Text},
		{"5.", Text},
		{"1 -", Text},
		{"- .", Text},
		{"1 _", Text},
		{"1 1.2.3", Text},
		{"1e-7 0.5 2", Double},
		{"1.5E+10", Double},
		{"1.0E10", Double},
		{".5 1", Double},
		{"-0 1", Double},
		{"1e+16", Double},
		{"5e-324 1", Text},
		{"12E4", Text},
		{"1e5", Text},
		{"1e", Text},
		{"1e+", Text},
		{"e+5", Text},
		{"1.5e+400", Text},
		{"01e+5", Text},
		{"1e+-5", Text},
		{"0.1234567890123456789 1e-7", Text},
		{"0.1234567890123456789 1.5", Numeric},
		{"12345678901234567 1e-7", Text},
		{"12345678901234568 1e-7", Double},
		{"NaN 1.5", Double},
		{"Infinity -Infinity 1", Double},
		{"NaN", Text},
		{"nan 1", Text},
		{"true false", Boolean},
		{"t f true", Boolean},
		{"TRUE False", Boolean},
		{"t 1", Text},
		{"yes no", Text},
		{"0 1", Integer},
		{"T F", Text},
		{"true _", Text},
		{"6ba7b810-9dad-11d1-80b4-00c04fd430c8", UUID},
		{"6BA7B810-9DAD-11D1-80B4-00C04FD430C8", UUID},
		{"6ba7b8109dad11d180b400c04fd430c8", Text},
		{"{6ba7b810-9dad-11d1-80b4-00c04fd430c8}", Text},
		{"2026-01-31 2024-02-29", Date},
		{"2026-02-29", Text},
		{"01/02/2026", Text},
		{"2026-1-2", Text},
		{"20260102", Integer},
		{"0000-00-00", Text},
		{"2026-01-31T10:00:00 2026-01-31T10:00:00.123456", Timestamp},
		{"2026-01-31T10:00", Timestamp},
		{"2026-01-31T10:00:00Z 2026-01-31T10:00:00+02:00", Timestamptz},
		{"2026-01-31T10:00:00Z 2026-01-31T10:00:00", Text},
		{"2026-01-31 2026-01-31T10:00:00", Text},
		{"2026-01-31T10:00:00.1234567", Text},
		{"2026-01-31T24:00:00", Text},
		{"2026-01-31T10:00:60", Text},
		{"infinity", Text},
		{"10.0.0.1 ::1 2001:db8::1", Inet},
		{"10.0.0.256", Text},
		{"10.0.0.01", Text},
		{"10.0.0.0/8", Text},
		{"FE80::1", Text},
		{"::1%eth0", Text},
		{"0:0:0:0:0:0:0:1", Text},
		{`{"a":1} [] [1,"x"] {}`, JSONB},
		{`{"a":1,"a":2}`, Text},
		{`{1,2}`, Text},
		{`{"a":"\u0000"}`, Text},
		{`["\ud800"]`, Text},
		{`["\ud83d\ude00"]`, JSONB},
		{`["\udc00"]`, Text},
		{`[1e400]`, Text},
		{`[1] 1`, Text},
		{`{"a":{"b":1},"b":[{"a":1},{"a":2}]}`, JSONB},
		{`{"\u0061":1,"a":2}`, Text},
		{strings.Repeat("[", 100) + strings.Repeat("]", 100), Text},
		{`[1,]`, Text},
		{strings.Repeat("9", 1000), Numeric},
		{strings.Repeat("9", 1001), Text},
	} {
		values := strings.Split(tt.values, " ")
		if tt.values == "" {
			values = nil
		}
		for i, v := range values {
			values[i] = strings.ReplaceAll(v, "_", "")
			if strings.Contains(v, "1_0") {
				values[i] = v
			}
			values[i] = strings.Replace(values[i], "10:00:00+02", "10:00:00+02", 1)
		}
		if got := of(values...).Type; got != tt.want {
			t.Errorf("%.60q is %s, want %s", values, got, tt.want)
		}
		// In whichever order, with NULLs between them, and in parts.
		slices.Reverse(values)
		parts := NewColumns(2)
		for i, v := range values {
			parts[i%2].Add([]byte(v))
			parts[0].AddNull()
		}
		parts[0].Merge(&parts[1])
		if got := parts[0].Finding("c"); got.Type != tt.want || got.NotNull || got.Nulls != int64(len(values)) {
			t.Errorf("%.60q is %+v in parts, want %s", values, got, tt.want)
		}
	}
}

// A column of any JSON is jsonb where that loses nothing, and a text is none of JSON.
func TestDocument(t *testing.T) {
	t.Parallel()
	for values, want := range map[string]Type{
		"": JSONB, `{"a":1} "x" 1 true`: JSONB, `"{" []`: JSONB, `{"a":1,"a":2} 1`: JSON, `["\u0000"]`: JSON, `"\u0000" {}`: JSON, `[1e400000]`: JSON,
		`1e400000 []`: JSON, `["\ud800"]`: JSON, strings.Repeat("[", 100) + strings.Repeat("]", 100): JSON,
	} {
		parts := NewColumns(2)
		for i := range parts {
			parts[i].Document()
		}
		for i, v := range strings.Fields(values) {
			parts[i%2].Add([]byte(v))
		}
		parts[0].Merge(&parts[1])
		if got := parts[0].Finding("c").Type; got != want {
			t.Errorf("%.60q is %s, want %s", values, got, want)
		}
	}
	c := &NewColumns(1)[0]
	c.NoDocument()
	c.Add([]byte(`{"a":1}`))
	if got := c.Finding("c").Type; got != Text {
		t.Errorf("a text is %s", got)
	}
}

// With a blank between day and time, which the list above cannot have.
func TestTimeWithBlank(t *testing.T) {
	t.Parallel()
	if got := of("2026-01-31 10:00:00", "2026-01-31 10:00:00.5").Type; got != Timestamp {
		t.Error(got)
	}
	if got := of("2026-01-31 10:00:00-0330", "2026-01-31 10:00:00+02").Type; got != Timestamptz {
		t.Error(got)
	}
	if got := of("2026-01-31 10:00:00 UTC").Type; got != Text {
		t.Error(got)
	}
}

func TestNotNull(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		is   Finding
		want bool
	}{
		"values": {of("1", "2"), true}, "a NULL": {of("1", "\x00"), false}, "NULLs": {of("\x00"), false}, "none": {of(), false}, "empty": {of(""), true},
	} {
		if tt.is.NotNull != tt.want {
			t.Errorf("%s: %+v", name, tt.is)
		}
	}
}

// Up to some thousands values are counted exactly, beyond that within the error that is
// said, whether they are counted in one place or in several.
func TestDistinct(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 100, maxCounted, maxCounted + 1, 20_000, 300_000} {
		parts := NewColumns(3)
		for i := range 2 * n {
			parts[i%3].Add(fmt.Append(nil, "value ", i%n))
		}
		for i := range 1000 {
			parts[i%3].Add([]byte("frequent"))
		}
		all := NewColumns(1)
		for i := range parts {
			all[0].Merge(&parts[i])
		}
		got := all[0].Finding("c")
		want, share := float64(n+1), 1000/float64(2*n+1000)
		if n < maxCounted != got.Exact {
			t.Errorf("%d values: exact is %v", n, got.Exact)
		}
		if off := math.Abs(float64(got.Distinct) - want); off > deviation*want || got.Exact && off > 0 {
			t.Errorf("%d values: about %d", n, got.Distinct)
		}
		if got.LargestShare < share-1e-12 || got.LargestShare > share+3.0/maxCounted || got.Exact && math.Abs(got.LargestShare-share) > 1e-12 {
			t.Errorf("%d values: largest share %v, is %v", n, got.LargestShare, share)
		}
	}
}

// The frequent values are found among those that come once, and no count is too small.
func TestFrequent(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	c := newCounter(64)
	counts := map[uint64]int64{}
	for range 200_000 {
		hash := rng.Uint64()
		if rng.IntN(10) == 0 {
			hash = uint64(rng.IntN(3))
		}
		counts[hash]++
		c.add(hash)
	}
	want := int64(0)
	for _, n := range counts {
		want = max(want, n)
	}
	if _, largest, exact := c.result(); exact || largest < want || largest > want+200_000/64 {
		t.Errorf("largest %d, is %d; exact %v", largest, want, exact)
	}
	if len(c.counts) > 64 {
		t.Errorf("%d counts", len(c.counts))
	}
}

func TestUnique(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		is   Finding
		want bool
	}{
		"different":         {of("1", "2"), true},
		"the same":          {of("1", "1"), false},
		"with NULL":         {of("1", "\x00"), false},
		"1.0 and 1.00":      {of("1.0", "1.00"), false},
		"the same uuids":    {of("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8"), false},
		"too long":          {of(strings.Repeat("x", longestKey+1)), false},
		"texts of any kind": {of("", "x"), true},
	} {
		if tt.is.Unique() != tt.want {
			t.Errorf("%s: %+v", name, tt.is)
		}
	}
}

func TestCheckNames(t *testing.T) {
	t.Parallel()
	for want, names := range map[string][]string{
		"column 2 of 2 has no name":       {"a", ""},
		`column "a": is named twice`:      {"a", "b", "a"},
		"longer than 63 bytes":            {strings.Repeat("é", 32)},
		"a column of that name already":   {"ctid"},
		"1601 columns":                    make([]string, 1601),
		"a column's name holds a zero by": {"a\x00"},
	} {
		if err := CheckNames(names); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	if err := CheckNames([]string{"a", "A", "select", `"`, strings.Repeat("é", 31), "a b"}); err != nil {
		t.Error(err)
	}
}

func TestLooksLikeHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		fields []string
		want   bool
	}{
		{[]string{"id", "name"}, true},
		{[]string{"id", "id"}, true}, // and is then refused
		{[]string{"id", ""}, true},
		{[]string{"t", "f"}, true},
		{[]string{"Größe", "2026 sales"}, true},
		{[]string{"1", "name"}, false},
		{[]string{"name", "2026-01-31"}, false},
		{[]string{"name", "-"}, false},
		{[]string{""}, false},
		{[]string{strings.Repeat("text ", 13)}, true}, // and is then refused
	} {
		if got := LooksLikeHeader(tt.fields); got != tt.want {
			t.Errorf("%q: %v", tt.fields, got)
		}
	}
}

// Nothing that a file holds gets out of a comment, or of a name.
func TestSQLIsQuoted(t *testing.T) {
	t.Parallel()
	evil := "x\"'\n; DROP TABLE t; --\r\u0085\u2028\\"
	table := Table{Name: []string{evil, evil}, Records: 3, Columns: []Finding{
		{Name: evil, Type: Integer, NotNull: true, Values: 3, Distinct: 3, Exact: true},
		{Name: "more" + evil, Type: Integer, NotNull: true, Values: 300, Distinct: 100, Exact: true, LargestShare: 0.01},
		{Name: "none" + evil, Type: Text},
	}}
	sql := strings.ReplaceAll(table.SQL(), Name(evil), "evil")
	for _, prefix := range []string{"more", "none"} {
		sql = strings.ReplaceAll(sql, Name(prefix+evil), "evil")
	}
	statement, comments, _ := strings.Cut(sql, ");\n")
	if want := "CREATE TABLE evil.evil (\n    evil integer NOT NULL,\n    evil integer NOT NULL,\n    evil text\n"; statement != want {
		t.Errorf("%q", statement)
	}
	for line := range strings.Lines(comments) {
		if line != "\n" && !strings.HasPrefix(line, "-- ") || strings.ContainsAny(line, "\r\u0085\u2028") {
			t.Errorf("line %q", line)
		}
	}
}

// A column that looks like a tenant's comes first, and none that would make a large shard.
func TestDistribution(t *testing.T) {
	t.Parallel()
	column := func(name string, is Type, distinct int64, share float64) Finding {
		return Finding{Name: name, Type: is, NotNull: true, Values: 10_000, Distinct: distinct, Exact: true, LargestShare: share}
	}
	nullable := column("owner_id", Integer, 100, 0.02)
	nullable.NotNull = false
	table := Table{Name: []string{"t"}, Records: 10_000, Columns: []Finding{
		column("id", Integer, 10_000, 0.0001), column("url", Text, 10_000, 0.0001), column("campaign_id", Bigint, 900, 0.01), column("kind", Text, 4, 0.4),
		column("company_id", UUID, 120, 0.05), column("country_id", Integer, 150, 0.6), column("at", Timestamp, 9000, 0.01), column("day", Date, 300, 0.01), nullable,
	}}
	var names []string
	for _, f := range table.distribution() {
		names = append(names, f.Name)
	}
	if got, want := strings.Join(names, " "), "company_id campaign_id id url"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if sql := table.SQL(); !strings.Contains(sql, "\n-- SELECT create_distributed_table('t', 'company_id');\n") || !strings.Contains(sql, "\n-- ALTER TABLE t ADD PRIMARY KEY (id);\n") {
		t.Error(sql)
	}
}
