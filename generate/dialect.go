package generate

import (
	"fmt"
	"slices"
	"strings"
)

// A Format is how rows are written.
type Format int

// The formats.
const (
	CSV  Format = iota // COPY's FORMAT csv: RFC 4180 but for its \n; NULL is an empty field, an empty string ""
	Text               // FORMAT text, COPY's own: tabs, backslashes, \N
	JSON               // an object on each line; NULL is null
	// Parquet is Apache Parquet: columns with types, compressed inside.
	Parquet
	formats
)

// formatNames has the name of each Format.
var formatNames = [formats]string{CSV: "csv", Text: "text", JSON: "json", Parquet: "parquet"}

func (f Format) String() string { return formatNames[f] }

// extension returns how names of files of the format end. Those of text are as psql's \copy of
// the tutorial names them.
func (f Format) extension() string {
	switch f {
	case JSON:
		return ".jsonl"
	case Parquet:
		return ".parquet"
	}
	return ".csv"
}

// MarshalText returns f's name.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText sets f from its name.
func (f *Format) UnmarshalText(text []byte) error {
	i := slices.Index(formatNames[:], string(text))
	if i < 0 {
		return fmt.Errorf("format %q: want csv, text, json or parquet", text)
	}
	*f = Format(i)
	return nil
}

// A dialect is how fields are written.
type dialect struct {
	delimiter byte
	null      string
	quotes    bool
	json      bool // as objects, in which fields have names
	newWord   func(string) word
	*vocabulary
}

func newDialect(delimiter byte, null string, quotes bool, newWord func(string) word) dialect {
	return dialect{delimiter: delimiter, null: null, quotes: quotes, newWord: newWord, vocabulary: newVocabulary(newWord)}
}

func csvDialect() dialect { return newDialect(',', "", true, csvWord) }

func textDialect() dialect { return newDialect('\t', `\N`, false, textWord) }

// plainDialect writes values as PostgreSQL's types do. No value has a zero byte, and
// \xff alone is no UTF-8.
func plainDialect() dialect {
	return newDialect(0, "\xff", false, func(s string) word { return word{text: s} })
}

func csvWord(s string) word {
	return word{text: strings.ReplaceAll(s, `"`, `""`), quoted: strings.ContainsAny(s, ",\"\r\n")}
}

func textWord(s string) word {
	return word{text: strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s)}
}

// appendWords appends the text of three words. They must not all be empty, which CSV
// could not tell from NULL, nor be \. together.
func (d *dialect) appendWords(dst []byte, a, b, c *word) []byte {
	quoted := a.quoted || b.quoted || c.quoted
	if quoted {
		dst = append(dst, '"')
	}
	dst = append(dst, a.text...)
	dst = append(dst, b.text...)
	dst = append(dst, c.text...)
	if quoted {
		dst = append(dst, '"')
	}
	return dst
}

// appendInt appends a number and ends its field.
func (d *dialect) appendInt(dst []byte, v int64) []byte {
	return append(appendInt(dst, uint64(v)), d.delimiter)
}
