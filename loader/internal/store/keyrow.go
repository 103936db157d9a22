package store

import (
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/fault"
	"shardload/internal/pgcsv"
	"shardload/loader/failure"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/lane"
)

// A keyDetail is what the detail of an error says of the key at fault: its columns,
// and their values as the server writes them.
type keyDetail struct {
	fields []int  // of a row
	values string // and what the detail has after them
}

// keyOf reads the detail of an error: Key (a, b)=(1, x) already exists. Its words
// depend on the server's language, its form does not. ok is false if it names no key
// of columns that the input has.
func keyOf(lay *decode.Layout, detail string) (k keyDetail, ok bool) {
	_, rest, _ := strings.Cut(detail, "(")
	names, values, ok := strings.Cut(rest, ")=(")
	if !ok {
		return k, false
	}
	for name := range strings.SplitSeq(names, ", ") {
		if quoted, is := strings.CutPrefix(name, `"`); is {
			name = strings.ReplaceAll(strings.TrimSuffix(quoted, `"`), `""`, `"`)
		}
		at := slices.IndexFunc(lay.Columns, func(c *catalog.Column) bool { return c.Name == name })
		if at < 0 {
			return k, false
		}
		k.fields = append(k.fields, at)
	}
	k.values = values
	return k, true
}

// narrow makes row, which names a run of p's records, name those alone that have the
// key which the detail of err is about, if they can be told by how their values are
// written.
func narrow(lay *decode.Layout, row *failure.RowError, p *lane.Section, err *pgconn.PgError) {
	key, ok := keyOf(lay, err.Detail)
	if !ok {
		return
	}
	found := rowsOf(lay, key, p)
	if len(found) == 0 {
		return
	}
	span := lane.Span{First: p.Spot(found[0]), Last: p.Spot(found[len(found)-1])}
	if isMissingParent(err) { // then each of them is at fault
		span.Last = span.First
	}
	placeAt(row, span, row.File)
}

// isMissingParent reports whether err says that there is no row to which another one
// refers. Behind the coordinator of a cluster only its words tell.
func isMissingParent(err *pgconn.PgError) bool {
	return err.Code == fault.ForeignKeyViolation || strings.Contains(err.Message, "violates foreign key constraint")
}

// rowsOf returns the indexes of p's rows that have the key, in the order of the input.
func rowsOf(lay *decode.Layout, key keyDetail, p *lane.Section) (found []int64) {
	longest := -1
	check := func(index int64, text string, ok bool) {
		if !ok || !strings.HasPrefix(key.values, text+")") || len(text) < longest {
			return
		}
		if len(text) > longest { // a value may hold what looks like the end of the key
			longest, found = len(text), nil
		}
		found = append(found, index)
	}
	if p.Notation == lane.NotationBinary {
		eachBinary(lay, p, key.fields, check)
	} else {
		eachText(lay, p, key.fields, check)
	}
	return found
}

// eachBinary calls fn with the values of the fields in each of p's rows, as the server
// would write them.
func eachBinary(lay *decode.Layout, p *lane.Section, fields []int, fn func(index int64, text string, ok bool)) {
	types := pgtype.NewMap()
	data := p.Data.Bytes()
	for index := range p.Rows {
		row := make([][]byte, len(lay.Columns))
		data = data[min(2, len(data)):] // the number of fields
		for i := range row {
			if len(data) < 4 {
				return
			}
			n := int32(binary.BigEndian.Uint32(data))
			if data = data[4:]; n >= 0 {
				row[i], data = data[:n], data[n:]
			}
		}
		values, ok := make([]string, len(fields)), true
		for i, f := range fields {
			var is bool
			values[i], is = serverText(types, lay.Columns[f].BaseOID, row[f])
			ok = ok && is
		}
		fn(index, strings.Join(values, ", "), ok)
	}
}

// serverText returns a value that is encoded in binary as the server writes it.
func serverText(types *pgtype.Map, oid uint32, value []byte) (text string, ok bool) {
	t, ok := types.TypeForOID(oid)
	if !ok || value == nil {
		return "", false
	}
	decoded, err := t.Codec.DecodeValue(types, oid, pgtype.BinaryFormatCode, value)
	if err != nil {
		return "", false
	}
	encoded, err := types.Encode(oid, pgtype.TextFormatCode, decoded, nil)
	return string(encoded), err == nil && encoded != nil
}

// eachText calls fn with the values of the fields in each of p's rows, as the input
// writes them, but for whole numbers.
func eachText(lay *decode.Layout, p *lane.Section, fields []int, fn func(index int64, text string, ok bool)) {
	var s pgcsv.Scanner
	s.SetDialect(p.Dialect)
	nulls := lay.Nulls
	if p.Dialect != lay.Dialect {
		nulls = pgcsv.Nulls{Null: p.Dialect.Null}
	}
	index := int64(0)
	for s.Reset(p.Data.Bytes(), pgcsv.LF, 1); s.Next(); index++ {
		record := s.Record()
		all := p.Dialect.AppendFields(nil, record)
		values, ok := make([]string, len(fields)), len(all) == len(lay.Columns)
		for i, f := range fields {
			if !ok || nulls.Is(f, all[f], record) {
				ok = false
				break
			}
			value, _ := all[f].Value(record, nil)
			values[i] = string(value)
			if n, err := strconv.ParseInt(strings.TrimSpace(values[i]), 10, 64); err == nil && isInteger(lay, f) {
				values[i] = strconv.FormatInt(n, 10)
			}
		}
		fn(index, strings.Join(values, ", "), ok)
	}
}

func isInteger(lay *decode.Layout, field int) bool {
	switch lay.Columns[field].BaseOID {
	case pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID:
		return true
	}
	return false
}
