package input

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"shardload/internal/fault"
)

// What to do about what cannot be read.
const (
	fromTar = "name the file in it: tar xOf"
	fromZip = "name the file in it: unzip -p"
	from7z  = "name the file in it: 7z e -so"
	fromRar = "name the file in it: unrar p -inul"
	convert = "convert it to CSV"
)

// strangers are what is recognised to be refused. None of them is text.
var strangers = []struct {
	is       func(head []byte) bool
	what, do string
}{
	{isTar, "a tar archive", fromTar},
	{isSpreadsheet, "a spreadsheet (xlsx)", "export its table as CSV"},
	{isZip, "a zip archive", fromZip},
	{magic("7z\xbc\xaf\x27\x1c"), "a 7z archive", from7z},
	{magic("Rar!\x1a\x07"), "a rar archive", fromRar},
	{isLZ4, "lz4-compressed", "decompress it: lz4 -dc"},
	{magic("\x1f\x9d"), "compressed by compress", "decompress it: gzip -dc"},
	{magic("LZIP\x01"), "lzip-compressed", "decompress it: lzip -dc"},
	{magic("\xff\x06\x00\x00sNaPpY"), "snappy-compressed", "decompress it first"},
	{isUTF16, "UTF-16 text", "convert it: iconv -f UTF-16 -t UTF-8"},
	{magic("PGCOPY\n\xff\r\n\x00"), "PostgreSQL's binary COPY format", "export it as CSV: COPY … TO … (FORMAT csv, HEADER)"},
	{magic("PGDMP\x01"), "an archive of pg_dump", "restore it: pg_restore"},
	{isParquet, "a Parquet file", "read it as one, from a file: Config.Format parquet"},
	{magic("Obj\x01"), "an Avro file", convert},
	{magic("ARROW1\x00\x00"), "an Arrow file", convert},
	{magic("SQLite format 3\x00"), "an SQLite database", convert},
}

// refuse recognises what is certainly no text, by the first bytes after decompression.
func (s *Source) refuse(head []byte) error {
	for _, f := range strangers {
		if !f.is(head) {
			continue
		}
		if s.is != None {
			return fault.Advise(fmt.Errorf("%s: is %s, compressed by %s, not CSV", s.Name, f.what, s.is), f.do)
		}
		return fault.Advise(fmt.Errorf("%s: is %s, not CSV", s.Name, f.what), f.do)
	}
	return nil
}

// magic returns what asks whether an input begins with these bytes.
func magic(bytesOf string) func([]byte) bool {
	return func(head []byte) bool { return bytes.HasPrefix(head, []byte(bytesOf)) }
}

// isTar asks for the checksum of a tar header, which is in octal digits.
func isTar(head []byte) bool {
	const length, from, to = 512, 148, 156
	if len(head) < length || !bytes.Contains(head, []byte{0}) {
		return false
	}
	want, err := strconv.ParseInt(strings.Trim(string(head[from:to]), " \x00"), 8, 32)
	if err != nil {
		return false
	}
	sum := int64((to - from) * ' ') // the checksum counts as spaces
	for i, c := range head[:length] {
		if i < from || i >= to {
			sum += int64(c)
		}
	}
	return sum == want
}

// zipHeader has the places of the fields of a zip archive's first header, in bytes.
const (
	zipVersion = 4
	zipMethod  = 8
	zipName    = 30
)

func isZip(head []byte) bool {
	switch {
	case bytes.HasPrefix(head, []byte("PK\x05\x06")): // an empty one
		return true
	case bytes.HasPrefix(head, []byte("PK\x07\x08PK\x03\x04")): // of several parts
		head = head[4:]
	}
	return bytes.HasPrefix(head, []byte("PK\x03\x04")) && len(head) >= zipName &&
		head[zipVersion] < 100 && binary.LittleEndian.Uint16(head[zipMethod:]) < 100
}

func isSpreadsheet(head []byte) bool {
	if !isZip(head) || len(head) < zipName {
		return false
	}
	name := head[zipName:]
	return bytes.HasPrefix(name, []byte("[Content_Types].xml")) || bytes.HasPrefix(name, []byte("xl/"))
}

func isLZ4(head []byte) bool {
	switch {
	case bytes.HasPrefix(head, []byte("\x02\x21\x4c\x18")): // its older format
		return true
	case !bytes.HasPrefix(head, []byte("\x04\x22\x4d\x18")):
		return false
	case len(head) < 6:
		return true
	}
	flags, block := head[4], head[5]
	return flags>>6 == 1 && flags&2 == 0 && block&0x8f == 0 && block>>4 >= 4
}

// isUTF16 asks for a byte order mark, and for a zero byte, which text in the encodings
// that PostgreSQL knows never has.
func isUTF16(head []byte) bool {
	marked := bytes.HasPrefix(head, []byte("\xff\xfe")) || bytes.HasPrefix(head, []byte("\xfe\xff"))
	return marked && bytes.IndexByte(head, 0) >= 0
}

// isParquet reports whether an input that begins with head is a Parquet file: the letters
// PAR1 may begin a text, too, but not with the first byte of a page header, or of the
// footer, after them.
func isParquet(head []byte) bool {
	return len(head) > 4 && (string(head[:4]) == "PAR1" || string(head[:4]) == "PARE") && head[4] < ' ' &&
		head[4] != '\n' && head[4] != '\r' && head[4] != '\t'
}
