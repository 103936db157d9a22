package verify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/sync/errgroup"

	"shardload/internal/catalog"
	"shardload/internal/charset"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/pgtext"
	sel "shardload/internal/selection"
	"shardload/internal/server"
)

// Header says whether the first record names the columns, as the loader's Header
// does.
type Header string

// The ways to treat the first record.
const (
	HeaderAuto Header = "auto"
	HeaderYes  Header = "yes"
	HeaderNo   Header = "no"
	// HeaderMatch is HeaderYes: that the columns are all of the table's is not looked at again.
	HeaderMatch Header = "match"
)

// A Reading says how files are to be read: in which format, and what goes with it. The
// zero value is CSV in UTF-8 with commas, of which the first record may be a header.
type Reading struct {
	Input     input.Format // zero means that the records are of Format
	Format    pgcsv.Format
	Header    Header // zero means HeaderAuto
	Null      string // the unquoted string that stands for NULL; in text zero means \N
	Delimiter byte   // zero means a comma, in text a tab
	Quote     byte   // of CSV; zero means a double quote
	NoQuotes  bool   // CSV has none
	Escape    byte   // of CSV; zero means the quote
	Skip      int    // lines before the header
	// ForceNull and ForceNotNull name columns as the loader's do.
	ForceNull, ForceNotNull []string

	Encoding  string // PostgreSQL's name of the encoding; "" means UTF8
	MaxRecord int    // the longest record in bytes; zero means 16 MiB
	// Compression is how the files are compressed; zero means as their content says.
	Compression input.Compression

	reader // is set by withDefaults
}

// A reader is what reads files as a Reading says.
type reader struct {
	dialect pgcsv.Dialect
	charset *charset.Converter // of the files, nil if they are read as they are encoded
}

// sent returns the encoding of records as they are read.
func (r Reading) sent() string {
	if charset.Is(r.Encoding) {
		return "UTF8"
	}
	return r.Encoding
}

// Dialect returns how the files are written.
func (r Reading) Dialect() pgcsv.Dialect {
	return r.Format.Dialect().With(r.Delimiter, r.Null).Quoted(r.Quote, r.Escape, r.NoQuotes)
}

func (r Reading) withDefaults() Reading {
	if r.Header == "" {
		r.Header = HeaderAuto
	}
	r.dialect = r.Dialect()
	if r.Encoding == "" {
		r.Encoding = "UTF8"
	}
	if r.MaxRecord == 0 {
		r.MaxRecord = 16 << 20
	}
	return r
}

// A layout says what the fields of an input are.
type layout struct {
	header bool              // whether the first record is one
	names  []string          // of the columns, one for each field, or for each item of the plan
	keys   []*catalog.Column // of the fields, of records whose keys name them; nil for a text
	fields []int             // by compared column: the field that has it, or the item
	plan   *sel.Plan         // of a list or condition; nil without
	nulls  pgcsv.Nulls
}

// A column is a column that is compared.
type column struct {
	*catalog.Column
	form pgtext.Form // nil if the server is asked about each value
	ask  string      // the value of the text v, about which the server is asked
}

// readLayouts finds out which columns the inputs have, and returns those that all
// inputs have: they are compared.
func (d *deep) readLayouts(ctx context.Context) (columns []column, err error) {
	in, t := &d.inputs, d.table
	in.layouts = make([]*layout, len(in.list))
	seen := map[string]int{}
	filled := 0
	if err := d.readEach(ctx); err != nil {
		return nil, err
	}
	for _, lay := range in.layouts {
		if lay == nil {
			continue
		}
		filled++
		for i, name := range lay.names {
			if lay.plan == nil || !lay.plan.Items[i].Wavers { // else nobody knows what it was
				seen[name]++
			}
		}
	}
	for _, c := range t.CopyColumns() {
		if seen[c.Name] == filled {
			columns = append(columns, column{Column: c})
		}
	}
	if len(columns) == 0 {
		return nil, errors.New("there is no column that all inputs have: compare them one by one")
	}
	for _, lay := range in.layouts {
		for i := 0; lay != nil && i < len(columns); i++ {
			lay.fields = append(lay.fields, slices.Index(lay.names, columns[i].Name))
		}
	}
	return columns, nil
}

// readEach reads the layouts of all inputs, nil for one that has no records.
func (d *deep) readEach(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(d.cfg.Procs)
	planned := d.cfg.Select != "" || d.cfg.Where != ""
	if planned {
		g.SetLimit(1) // they ask the server, over one connection
	}
	for i, one := range d.list {
		g.Go(func() (err error) {
			if planned {
				d.layouts[i], err = d.readPlan(ctx, one, *d.how(i))
				return err
			}
			d.layouts[i], err = one.readLayout(ctx, *d.how(i), d.table)
			return err
		})
	}
	return g.Wait()
}

// readLayout returns the layout of in, nil if it has no records.
func (in Input) readLayout(ctx context.Context, how Reading, t *catalog.Table) (*layout, error) {
	if in.blocks != nil {
		names := in.blocks.Header()
		return &layout{names: names, nulls: pgcsv.Nulls{Null: how.dialect.Null}}, in.checkHeader(names, t)
	}
	if how.Input != input.Delimited {
		return in.readFields(ctx, how, t)
	}
	first, err := in.firstRecord(ctx, how)
	if err != nil || first == nil {
		return nil, err
	}
	lay, err := in.layoutOf(how.dialect.Values(first), how, t)
	if err == nil {
		lay.nulls, err = pgcsv.Forced{Null: how.ForceNull, NotNull: how.ForceNotNull}.Nulls(lay.names, how.dialect)
	}
	return lay, err
}

// layoutOf returns the layout of a file with a first record of those values.
func (in Input) layoutOf(names []string, how Reading, t *catalog.Table) (*layout, error) {
	switch how.Header {
	case HeaderYes, HeaderMatch:
	case HeaderAuto:
		if t.LooksLikeHeader(names, how.dialect.RareHeader()) {
			break
		}
		fallthrough
	default:
		lay := &layout{}
		for _, c := range t.CopyColumns() {
			lay.names = append(lay.names, c.Name)
		}
		return lay, nil
	}
	return &layout{header: true, names: names}, in.checkHeader(names, t)
}

// checkHeader refuses what the loader refuses.
func (in Input) checkHeader(names []string, t *catalog.Table) error {
	for i, name := range names {
		if t.Column(name) == nil {
			return fmt.Errorf("%s:1: column %q: is not in table %s, which has %s",
				in.at.Name, name, t, strings.Join(t.ColumnNames(), ", "))
		}
		if slices.Contains(names[:i], name) {
			return fmt.Errorf("%s:1: column %q: is named twice in the header", in.at.Name, name)
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
	var enums []uint32
	err := server.Tx(ctx, d.conn, server.Read, func() error {
		rows, err := d.conn.Query(ctx, `SELECT oid FROM pg_catalog.pg_type WHERE oid = ANY($1::oid[]) AND typtype = 'e'`, types)
		if err == nil {
			enums, err = pgx.CollectRows(rows, pgx.RowTo[uint32])
		}
		return err
	})
	if err != nil {
		return err
	}
	options := pgtext.Options{UTF8: d.session.utf8(), UTC: d.session.isUTC(), ArrayNulls: d.session.ArrayNulls == "on"}
	for i := range d.columns {
		c := &d.columns[i]
		c.ask = askedValue(c.Column)
		if form, ok := pgtext.For(c.BaseOID, c.TypMod, options); ok {
			c.form = form
		} else if slices.Contains(enums, c.BaseOID) {
			c.form = pgtext.Text(options)
		}
	}
	return nil
}

// askedValue returns the SQL of the value that the text v is. A cast to a type with a length
// cuts off what COPY refuses, and must not make a value of it that the table has.
func askedValue(c *catalog.Column) string {
	switch c.BaseOID {
	case pgtype.VarcharOID:
		return "v::character varying"
	case pgtype.VarcharArrayOID:
		return "v::character varying[]"
	case pgtype.BitOID, pgtype.VarbitOID:
		return "v::bit varying"
	case pgtype.BitArrayOID, pgtype.VarbitArrayOID:
		return "v::bit varying[]"
	}
	return c.ValueSQL("v")
}
