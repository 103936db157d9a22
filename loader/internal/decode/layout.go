package decode

import (
	"encoding/binary"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
	"shardload/internal/ledger"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/internal/target"
)

// A Layout says what the fields of an input are: which columns, how each is
// encoded, and which of them decide a record's lane.
type Layout struct {
	Table *catalog.Table
	RowForm
	// Encoders has one for each column. It is nil if a column has no binary encoding,
	// or nobody wants one: all rows are then sent as CSV.
	Encoders []pgcopy.Encoder
	Router   router
	reading  string // under which settings the server reads what decides a row's shard; "" if it need not
	// SortBy has the fields of the primary key's first columns that make up a sort
	// key: integers of at most eight bytes together.
	SortBy    []int
	sortSizes []int         // of each of them, in bytes
	Dialect   pgcsv.Dialect // in which records are read
	Sent      pgcsv.Dialect // in which rows are sent if not in binary: as they are, if it is the same
	Nulls     pgcsv.Nulls   // of records as they are read
	endMark   error         // what is wrong with \. on a line by itself, nil if it is a record
	maxRecord int
	noDetail  bool     // of the server's refusals
	Record    Original // where the bytes of a row's record are
	Forms
}

// A RowForm says what rows consist of as they are sent, and where their values come from.
type RowForm struct {
	Columns []*catalog.Column // one for each field of a row
	mapping *mapping          // of a record's fields to them; nil if they are the same
	// Loaded are the columns of the table that get values: Columns, unless these are of a
	// staging table.
	Loaded  []*catalog.Column
	staged  bool
	compute *Compute // what decides a row's shard, if the server computes it
}

// Forms are the statements that copy rows, from the list of columns on.
type Forms struct{ RecordForm, BinaryForm string }

// An Original says where the bytes are that a row's record had in the input.
type Original byte

const (
	// SentOrRead is of a row that is sent as its record is, or of an input that can be read again.
	SentOrRead Original = iota
	// Read is of an input that can be read again, of which no row is sent as its record is.
	Read
	// Kept travels with its row.
	Kept
)

// Options are how records are written, and sent.
type Options struct {
	Dialect   pgcsv.Dialect
	Forced    pgcsv.Forced
	Encoding  string // by PostgreSQL's name
	MaxRecord int    // bytes
	NoDetail  bool   // of the server's refusals
	AsTheyAre bool   // no row is sent in binary

	// Sources has one for each column, where rows are not their records; nil where they are.
	Sources []Source
	Fields  []string // of a record, with Sources

	// Staging says what the columns are, if they are those of a staging table; nil if they
	// are the target's.
	Staging *Staging
}

// A Staging says what the columns of a staging table are to the target's.
type Staging struct {
	Loaded []*catalog.Column // that get values in the end
	// Direct are those of them whose value is that of a column of the staging table, as it
	// stands; From has the index of that.
	Direct  []*catalog.Column
	From    []int
	Compute *Compute // nil if the server computes nothing that decides a row's shard
	// Unrouted says that all rows are in one lane, whatever decides their shard.
	Unrouted bool
}

// NewLayout returns the layout of records with these columns, for a target.
func NewLayout(t *target.Target, columns []*catalog.Column, opt Options) (*Layout, error) {
	lay := &Layout{
		Table:     t.Table,
		RowForm:   RowForm{Columns: columns},
		Dialect:   opt.Dialect,
		Sent:      opt.Dialect.Sent(),
		endMark:   opt.Dialect.EndMark(t.Server.Version),
		maxRecord: opt.MaxRecord,
		noDetail:  opt.NoDetail,
	}
	utf8 := server.IsUTF8(opt.Encoding) && server.IsUTF8(t.Server.Encoding)
	names := make([]string, len(columns))
	quoted := make([]string, len(columns))
	for i, c := range columns {
		names[i], quoted[i] = c.Name, pgx.Identifier{c.Name}.Sanitize()
	}
	var err error
	if opt.Sources != nil {
		names = opt.Fields
	}
	if lay.Nulls, err = opt.Forced.Nulls(names, opt.Dialect); err != nil {
		return nil, err
	}
	if err = lay.route(t, opt.Staging, utf8); err != nil {
		return nil, err
	}
	if r := &lay.Router; r.finder != nil && !r.Filled && r.Keys[0].Hash == nil {
		lay.reading = t.Session.Reading()
	}
	if !opt.AsTheyAre {
		lay.Encoders = encoders(t, columns, BinaryOptions(t, opt.Encoding))
	}
	if opt.Sources != nil {
		var binary bool
		if lay.mapping, binary = newMapping(opt.Sources, len(opt.Fields), lay.Encoders); !binary {
			lay.Encoders = nil
		}
		lay.Sent, lay.Record = pgcsv.Text.Dialect(), Read
	}
	if t.Key == nil || t.Key.Primary { // rows of one key stay in their order
		lay.SortBy, lay.sortSizes = sortFields(t.Table, columns)
	}
	from := " (" + strings.Join(quoted, ", ") + ") FROM STDIN "
	lay.BinaryForm = from + "(FORMAT binary)"
	lay.RecordForm = from + "(" + lay.recordForm(opt.Encoding) + ")"
	return lay, nil
}

// route makes the router.
func (lay *Layout) route(t *target.Target, st *Staging, utf8 bool) (err error) {
	if st == nil {
		lay.Loaded = lay.Columns
		lay.Router, err = NewRouter(t, lay.Columns, utf8)
		return err
	}
	lay.Loaded, lay.staged, lay.compute = st.Loaded, true, st.Compute
	if st.Unrouted {
		lay.Router = router{Lanes: 1}
		return nil
	}
	if lay.Router, err = NewRouter(t, st.Direct, utf8); err != nil {
		return err
	}
	for i := range lay.Router.Keys {
		k := &lay.Router.Keys[i]
		k.field = st.From[k.field]
	}
	return nil
}

// Shares says what decides a row's lane.
func (lay *Layout) Shares() ledger.Shares {
	r := &lay.Router
	switch {
	case lay.compute != nil:
		return ledger.Shares{By: ledger.ByReading, Columns: []string{lay.compute.Column}, Reading: lay.compute.Reading}
	case lay.reading != "":
		return ledger.Shares{By: ledger.ByReading, Columns: []string{r.Keys[0].column}, Reading: lay.reading}
	case r.Filled:
		return ledger.Shares{By: ledger.ByPlace}
	case r.finder != nil || r.Lanes == 1:
		return ledger.Shares{By: ledger.ByShard}
	case r.together:
		return ledger.Shares{By: ledger.ByNothing}
	case len(r.Keys) == 0:
		return ledger.Shares{By: ledger.ByPlace}
	}
	shares := ledger.Shares{By: r.by}
	for _, k := range r.Keys {
		shares.Columns = append(shares.Columns, k.column+" "+k.kind)
	}
	return shares
}

// BinaryOptions says what the binary form of values in that encoding depends on.
func BinaryOptions(t *target.Target, encoding string) pgcopy.Options {
	return pgcopy.Options{UTF8: server.IsUTF8(encoding) && server.IsUTF8(t.Server.Encoding), ArrayNulls: t.Session.ArrayNulls == "on"}
}

// encoders returns the encoder of each column, or nil if one has none.
func encoders(t *target.Target, columns []*catalog.Column, options pgcopy.Options) []pgcopy.Encoder {
	encoders := make([]pgcopy.Encoder, len(columns))
	for i, c := range columns {
		var ok bool
		encoders[i], ok = pgcopy.For(c.BaseOID, c.TypMod, options)
		if !ok {
			t.Log.Debug("column has no binary encoding; rows are sent as CSV", "column", c.Name, "type", c.Type)
			return nil
		}
	}
	return encoders
}

// Staged reports whether rows pass through a staging table, where the server evaluates them.
func (lay *Layout) Staged() bool { return lay.staged }

// Computes reports whether the server computes what decides a row's shard.
func (lay *Layout) Computes() bool { return lay.compute != nil }

// split appends the fields of a record.
func (lay *Layout) split(dst []pgcsv.Field, raw []byte) []pgcsv.Field {
	return lay.Dialect.AppendFields(dst, raw)
}

// sortFields returns the fields of the first columns of the primary key, as far as
// they are integers that fit into eight bytes together, and how large each is.
func sortFields(t *catalog.Table, columns []*catalog.Column) (fields, sizes []int) {
	size := map[uint32]int{pgtype.Int2OID: 2, pgtype.Int4OID: 4, pgtype.Int8OID: 8}
	left := 8
	for _, name := range t.PrimaryKey {
		i := slices.IndexFunc(columns, func(c *catalog.Column) bool { return c.Name == name })
		if i < 0 || size[columns[i].BaseOID] == 0 || size[columns[i].BaseOID] > left {
			break
		}
		left -= size[columns[i].BaseOID]
		fields, sizes = append(fields, i), append(sizes, size[columns[i].BaseOID])
	}
	return fields, sizes
}

// sortKey returns the key by which a row is sorted. rows ends with the row; ends
// has the ends of its fields in rows, 0 for NULL, which the server will refuse.
func (lay *Layout) sortKey(rows []byte, ends []int32) (key uint64) {
	for j, i := range lay.SortBy {
		end := ends[i]
		if end == 0 {
			return 0
		}
		switch lay.sortSizes[j] { // negative values before the others
		case 2:
			key = key<<16 | uint64(binary.BigEndian.Uint16(rows[end-2:])^1<<15)
		case 4:
			key = key<<32 | uint64(binary.BigEndian.Uint32(rows[end-4:])^1<<31)
		default:
			key = binary.BigEndian.Uint64(rows[end-8:]) ^ 1<<63
		}
	}
	return key
}

// Refused is the function of that name, without the detail if nobody is to see it.
func (lay *Layout) Refused(err *pgconn.PgError) *failure.RefusedError {
	e := failure.Refused(err)
	if lay.noDetail {
		e.Detail = ""
	}
	return e
}
