package generate

import (
	"fmt"
	"strings"
)

// A Format is a format of COPY.
type Format int

// The formats.
const (
	CSV  Format = iota // FORMAT csv: RFC 4180 but for its \n; NULL is an empty field, an empty string ""
	Text               // FORMAT text, COPY's own: tabs, backslashes, \N
)

func (f Format) String() string {
	if f == Text {
		return "text"
	}
	return "csv"
}

// MarshalText returns f's name.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText sets f from its name.
func (f *Format) UnmarshalText(text []byte) error {
	switch string(text) {
	case "csv":
		*f = CSV
	case "text":
		*f = Text
	default:
		return fmt.Errorf("format %q: want csv or text", text)
	}
	return nil
}

// A dialect is how fields are written.
type dialect struct {
	delimiter byte
	null      string
	quotes    bool
	newWord   func(string) word
	*vocabulary
}

func newDialect(delimiter byte, null string, quotes bool, newWord func(string) word) dialect {
	return dialect{delimiter, null, quotes, newWord, newVocabulary(newWord)}
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
