package shape

import (
	"fmt"
	"strconv"
	"time"

	"shardload/schema"
)

// ads is the dataset's largest table.
var ads = Shape{
	Name: "ads", About: "the dataset's ads: 10 columns and a primary key",
	Table: *schema.Lookup("ads"), Rows: 1_000_000,
}

// indexed is the same with indexes as applications have them.
var indexed = Shape{
	Name: "indexed", About: "ads with four secondary indexes",
	Table: *schema.Lookup("ads"), Rows: 1_000_000,
	Indexes: []string{"(campaign_id)", "(created_at)", "(company_id, impressions_count)", "(target_url)"},
}

// json has documents of about 1 KiB.
var json = Shape{
	Name: "json", About: "jsonb documents of 1 KiB",
	Table: schema.Table{
		Columns: []schema.Column{
			{Name: "id", Type: "bigint", NotNull: true},
			{Name: "account_id", Type: "integer", NotNull: true},
			{Name: "received_at", Type: "timestamp with time zone", NotNull: true},
			{Name: "body", Type: "jsonb", NotNull: true},
		},
		PrimaryKey: []string{"account_id", "id"}, DistributionColumn: "account_id",
	},
	Rows: 300_000,
	row: func(dst []byte, d *dice) []byte {
		account := d.few(5000) + 1
		dst = fmt.Appendf(dst, "%d,%d,%s+00,", d.number+1, account, moment(d))
		dst = append(dst, '"')
		dst = fmt.Appendf(dst, `{""type"": ""%s"", ""version"": %d, ""actor"": {""id"": %d, ""login"": ""%s-%d"", ""admin"": %t}, ""items"": [`,
			d.of(verbs), d.IntN(4)+1, d.IntN(1e6), d.of(words), d.IntN(1e5), d.IntN(20) == 0)
		for i := range 6 {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			dst = fmt.Appendf(dst, `{""sku"": ""%08x"", ""count"": %d, ""price"": %d.%02d, ""note"": ""`, d.Uint32(), d.IntN(9)+1, d.IntN(500), d.IntN(100))
			dst = text(dst, d, 5)
			dst = append(dst, `""}`...)
		}
		dst = append(dst, `], ""path"": ""/`...)
		dst = text(dst, d, 50)
		return append(dst, `"", ""seen"": null}"`...)
	},
}

// uuid has keys in random order: each row goes to another page of the index.
var uuid = Shape{
	Name: "uuid", About: "uuid keys in random order",
	Table: schema.Table{
		Columns: []schema.Column{
			{Name: "id", Type: "uuid", NotNull: true},
			{Name: "session_id", Type: "uuid", NotNull: true},
			{Name: "kind", Type: "text", NotNull: true},
			{Name: "amount", Type: "bigint"},
			{Name: "path", Type: "text", NotNull: true},
			{Name: "created_at", Type: "timestamp with time zone", NotNull: true},
		},
		PrimaryKey: []string{"id"}, DistributionColumn: "id",
	},
	Rows: 1_000_000,
	row: func(dst []byte, d *dice) []byte {
		dst = append(appendUUID(dst, d.unique(), d.Uint64()), ',')
		dst = append(appendUUID(dst, d.Uint64(), d.Uint64()), ',')
		dst = append(append(dst, d.of(verbs)...), ',')
		if d.IntN(4) > 0 {
			dst = strconv.AppendInt(dst, int64(d.few(1e8)), 10)
		}
		return fmt.Appendf(dst, ",/%s/%s/%d,%s+00", d.of(words), d.of(words), d.IntN(1e5), moment(d))
	},
}

// appendUUID appends a UUID of version 4 with the bits of high and low.
func appendUUID(dst []byte, high, low uint64) []byte {
	digits := fmt.Appendf(nil, "%016x%016x", high, low)
	digits[12], digits[16] = '4', "89ab"[low>>60&3]
	for i, n := range []int{8, 12, 16, 20, 32} {
		if i > 0 {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[[]int{0, 8, 12, 16, 20}[i]:n]...)
	}
	return dst
}

var (
	verbs = []string{"view", "click", "order", "refund", "login", "logout", "search", "share"}
	words = []string{
		"amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven", "inlet", "jetty", "knoll", "lagoon", "meadow", "north",
		"ocean", "prairie", "quarry", "river", "summit", "tundra", "upland", "valley", "willow", "yonder", "zenith", "étage", "überall",
	}
	begin = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
)

// text appends that many words with blanks between them.
func text(dst []byte, d *dice, n int) []byte {
	for i := range n {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, d.of(words)...)
	}
	return dst
}

// moment returns a time of a year, most of which grow with the rows' numbers.
func moment(d *dice) string {
	at := begin.Add(time.Duration(d.number)*time.Second + time.Duration(d.IntN(3600))*time.Second)
	return at.Format(time.DateTime)
}
