package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/pgcsv"
	"shardload/internal/pgtext"
)

// Header says whether the first record names the columns, as the loader's Header
// does.
type Header string

// The ways to treat the first record.
const (
	HeaderAuto Header = "auto"
	HeaderYes  Header = "yes"
	HeaderNo   Header = "no"
)

// A Format says how files are to be read. The zero value is CSV in UTF-8 with
// commas, of which the first record may be a header.
type Format struct {
	Header    Header // zero means HeaderAuto
	Null      string // the unquoted string that stands for NULL
	Delimiter byte   // zero means a comma
	Encoding  string // PostgreSQL's name of the encoding; "" means UTF8
	MaxRecord int    // the longest record in bytes; zero means 16 MiB
}

func (f Format) withDefaults() Format {
	if f.Header == "" {
		f.Header = HeaderAuto
	}
	if f.Delimiter == 0 {
		f.Delimiter = ','
	}
	if f.Encoding == "" {
		f.Encoding = "UTF8"
	}
	if f.MaxRecord == 0 {
		f.MaxRecord = 16 << 20
	}
	return f
}

// A layout says what the fields of an input are.
type layout struct {
	header bool     // whether the first record is one
	names  []string // of the columns, one for each field
	fields []int    // by compared column: the field that has it
}

// A column is a column that is compared.
type column struct {
	*catalog.Column
	form pgtext.Form // nil if the server is asked about each value
	cast string      // the type that the server is asked about
}

// readLayouts finds out which columns the inputs have. Those that all inputs have
// are compared.
func (d *deep) readLayouts() error {
	d.layouts = make([]*layout, len(d.cfg.Inputs))
	seen := map[string]int{}
	inputs := 0
	for i, in := range d.cfg.Inputs {
		lay, err := d.readLayout(in)
		if err != nil {
			return err
		}
		if d.layouts[i] = lay; lay == nil {
			continue
		}
		inputs++
		for _, name := range lay.names {
			seen[name]++
		}
	}
	for i := range d.table.Columns {
		if c := &d.table.Columns[i]; seen[c.Name] == inputs && !c.Generated {
			d.columns = append(d.columns, column{Column: c})
		}
	}
	if len(d.columns) == 0 {
		return errors.New("there is no column that all inputs have: compare them one by one")
	}
	for _, lay := range d.layouts {
		for i := 0; lay != nil && i < len(d.columns); i++ {
			lay.fields = append(lay.fields, slices.Index(lay.names, d.columns[i].Name))
		}
	}
	return nil
}

// readLayout returns the layout of in, nil if it has no records.
func (d *deep) readLayout(in Input) (*layout, error) {
	if in.blocks != nil {
		names := in.blocks.Header()
		return &layout{names: names}, d.checkHeader(in, names)
	}
	first, err := in.firstRecord(d.cfg.Format.MaxRecord)
	if err != nil || first == nil {
		return nil, err
	}
	names := fieldNames(first, d.cfg.Format.Delimiter)
	switch d.cfg.Format.Header {
	case HeaderYes:
	case HeaderAuto:
		if slices.ContainsFunc(names, d.isColumn) {
			break
		}
		fallthrough
	default:
		lay := &layout{}
		for _, c := range d.table.Columns {
			if !c.Generated {
				lay.names = append(lay.names, c.Name)
			}
		}
		return lay, nil
	}
	return &layout{header: true, names: names}, d.checkHeader(in, names)
}

// fieldNames returns the fields of a record.
func fieldNames(record []byte, delimiter byte) (names []string) {
	var value, scratch []byte
	for _, f := range pgcsv.AppendFields(nil, record, delimiter, true) {
		value, scratch = f.Value(record, scratch)
		names = append(names, string(value))
	}
	return names
}

// isColumn reports whether name is that of a column, or nearly: the loader's rule
// for what is a header.
func (d *deep) isColumn(name string) bool {
	return slices.ContainsFunc(d.table.Columns, func(c catalog.Column) bool {
		return strings.EqualFold(c.Name, strings.TrimSpace(name))
	})
}

// checkHeader refuses what the loader refuses.
func (d *deep) checkHeader(in Input, names []string) error {
	for i, name := range names {
		if d.table.Column(name) == nil {
			return fmt.Errorf("%s:1: column %q: is not in table %s, which has %s",
				in.name, name, d.table.SQL(), strings.Join(d.table.ColumnNames(), ", "))
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%s:1: column %q: is named twice in the header", in.name, name)
		}
	}
	return nil
}

// readForms finds out how the values of each column can be compared.
func (d *deep) readForms(ctx context.Context) error {
	var types []uint32
	for _, c := range d.columns {
		types = append(types, c.BaseOID)
	}
	rows, err := d.conn.Query(ctx, `SELECT oid FROM pg_type WHERE oid = ANY($1::oid[]) AND typtype = 'e'`, types)
	if err != nil {
		return err
	}
	enums, err := pgx.CollectRows(rows, pgx.RowTo[uint32])
	if err != nil {
		return err
	}
	options := pgtext.Options{UTF8: d.session.utf8(), UTC: d.session.isUTC()}
	for i := range d.columns {
		c := &d.columns[i]
		c.cast = castType(c.Column)
		if form, ok := pgtext.For(c.BaseOID, c.TypMod, options); ok {
			c.form = form
		} else if slices.Contains(enums, c.BaseOID) {
			c.form = pgtext.Text(options)
		}
	}
	return nil
}

// castType returns the type that a value is cast to by the server. A cast to a type
// with a length cuts off what COPY refuses, and must not make a value of it that
// the table has.
func castType(c *catalog.Column) string {
	switch c.BaseOID {
	case pgtype.VarcharOID:
		return "character varying"
	case pgtype.VarcharArrayOID:
		return "character varying[]"
	case pgtype.BitOID, pgtype.VarbitOID:
		return "bit varying"
	case pgtype.BitArrayOID, pgtype.VarbitArrayOID:
		return "bit varying[]"
	}
	return c.Type
}
