package loader

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/charset"
	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/server"
	"shardload/loader/failure"
	"shardload/loader/waiting"
)

// MaxStreams is the largest number of streams that a Config may ask for.
const MaxStreams = 256

// Defaults of the Config's fields.
const (
	DefaultMemory    = 256 << 20
	DefaultBatch     = 4 << 20
	DefaultMaxRecord = 16 << 20
	DefaultRetryFor  = fault.RetryFor
)

// A Config says where and how to load. The zero value of each field but Conn and
// Table is usable.
type Config struct {
	// Conn names the server: the coordinator of a Citus cluster, or a plain
	// PostgreSQL server. It must come from pgx.ParseConfig. Required.
	Conn *pgx.ConnConfig

	// Table is the table's name as SQL writes it: ads, public.ads, "Ads".
	// Required.
	Table string

	// Route says how rows reach their shard. Zero means RouteAuto.
	Route Route

	// Header says whether the input's first record names the columns. Zero means
	// HeaderAuto.
	Header Header

	// Format is how the input is written. Zero means FormatCSV. Blocks and Records are
	// always CSV.
	Format Format

	// Select is a list of items as SQL has it between SELECT and FROM, over the fields of a
	// record: "*, price AS amount, nullif(note, 'N/A') AS note, _file AS source". Their names
	// are the columns that are loaded. Fields are text, whatever their names. `*` is all fields
	// but those by whose name another item is called, and those that are no column of the
	// table, but what another item or the condition is made of. A header may then name what
	// it likes; without one fields are called as the table's columns, in their order, and _N
	// behind them. Beside fields there are _file, text, and _line, bigint.
	//
	// Items that are fields, constants and nullif(field, constant) are read here. Others are
	// evaluated by the server, row by row. Mistakes are said before anything is loaded.
	Select string

	// Where is a condition, as SQL has it, of the fields of records that are loaded. The
	// server evaluates it.
	Where string

	// Null is the string that stands for NULL, as COPY's NULL option: in CSV the
	// empty string by default, and only unquoted; in text \N by default.
	Null string

	// Delimiter is the byte between fields. Zero means a comma, in text a tab.
	Delimiter byte

	// Quote is the byte around values of CSV that hold what would else end them, as COPY's
	// QUOTE. Zero means a double quote.
	Quote byte

	// NoQuotes says that CSV has no quotes: each byte but a delimiter and a line break is
	// data. COPY does not have that.
	NoQuotes bool

	// Escape is the byte that, inside quotes, goes before a quote or another one of itself that
	// belong to the value, as COPY's ESCAPE. Zero means the quote.
	Escape byte

	// ForceNull and ForceNotNull name columns, as COPY's FORCE_NULL and FORCE_NOT_NULL: those
	// where Null stands for NULL in quotes, too, and those where it is a value. A lone "*" names
	// all columns of the input. CSV alone has them.
	ForceNull, ForceNotNull []string

	// Skip is the number of lines before the header, or before the first record. They are
	// counted where lines are.
	Skip int

	// Encoding is PostgreSQL's name of the input's encoding. "" means UTF8. Inputs in one of
	// those that the server itself cannot use (SJIS, BIG5, GBK and the like), where a byte of a
	// longer character may look like ASCII, are converted here, by what the server says of
	// each character; its own encoding must be UTF8.
	Encoding string

	// Compression is how the input is compressed. Zero means CompressionAuto. Blocks and
	// Records never are.
	Compression Compression

	// MaxRecord is the longest record, in bytes, that is still believed to be
	// one. Zero means 16 MiB. It must fit twice into Memory.
	MaxRecord int

	// Memory is the number of bytes that rows on their way may occupy. The process
	// needs in addition a chunk (1 MiB, or the longest record) for each decoder.
	// Zero means 256 MiB.
	Memory int64

	// Streams is the number of connections that COPY at once: on each node for the
	// routes shard and node, else in all. Zero means one per CPU, at least 2 and at
	// most 8, in all, and fewer where a server has not as many connections left.
	Streams int

	// NodeMap translates a node's "host:port" as pg_dist_node has it into one that
	// can be reached from here.
	NodeMap map[string]string

	// Batch is the number of bytes at which a batch is closed. Zero means 4 MiB.
	Batch int

	// Stage is the part of the pipeline to run, for whoever measures. Zero means
	// all of it.
	Stage Stage

	// SendCSV sends all rows as the CSV that they are, for whoever measures what the
	// binary format gains.
	SendCSV bool

	// Observe, if not nil, is told of each batch that is stored. It is called from
	// several goroutines at once, and holds up the stream that calls it.
	Observe func(StoredBatch)

	// Retried, if not nil, is told of each batch that is to be sent again, and of the
	// server, host:port, that failed or no longer has the shard. It is called as
	// Observe is.
	Retried func(node string)

	// Waits, if not nil, gets what the load waits for: a server that is away, a lock, a
	// COMMIT that is not complete on all nodes.
	Waits *waiting.Waits

	// Job is the name by which a later run finds this load, to go on with it or to
	// see that it is complete. "" means the input's: a file's path.
	Job string

	// NoResume keeps no progress in the database: a load that stops cannot go on
	// later, and a batch whose COMMIT got no answer stays in doubt.
	NoResume bool

	// Rewritten says that a table which was rewritten since its load began, as by VACUUM
	// FULL, still has the rows that were stored in it. Without it the load does not go
	// on: after TRUNCATE there may be others.
	Rewritten bool

	// Appended loads what was appended to a file since it was loaded completely. The file
	// must begin with all that was loaded. Without it such a file is refused.
	Appended bool

	// DeferIndexes drops the secondary indexes of the table before the first row is stored: those
	// that are not unique, back no constraint and are no replica identity. They are kept beside
	// the table as they were, and wait to be built by Loader.BuildIndexes; a Set does that once
	// all inputs of the table are stored. A load that is never gone on with leaves the table
	// without them.
	DeferIndexes bool

	// RetryFor is how long a server may fail, without any success between, before
	// the load gives up. Zero means 5 minutes, less than zero no second try.
	RetryFor time.Duration

	// OnConflict says what becomes of a record whose key a row has already. Zero means
	// ConflictError. The others send rows through a temporary table on the node.
	OnConflict Conflict

	// ConflictKey has the columns of the primary key or unique constraint by which
	// records conflict. Nil means the primary key, or the only unique constraint.
	ConflictKey []string

	// MaxErrors is how many records may be rejected: kept aside, with the reason,
	// while all others are stored. They are written to TABLE.rejects.jsonl, and at
	// the end, as they were in the input, to TABLE.rejects.csv (.txt of the text format,
	// TABLE.rejects.records.jsonl of JSON). The zero value stops
	// the load at the first one. An input that is no plain file is sent as CSV then,
	// which costs the server a little more.
	MaxErrors failure.ErrorLimit

	// RejectsDir is the directory of these files, which is made if it is not there. ""
	// means that where an earlier run has begun them, else the current one.
	RejectsDir string

	// NoDetail leaves out what a server adds to its refusal of a record, such as the
	// values of a key: from errors, and from the list of rejected records. A message
	// itself may quote a value all the same.
	NoDetail bool

	// Log receives what is worth knowing but no error. Nil discards it.
	Log *slog.Logger

	paces paces
}

// paces has what only tests change. Zero means the usual.
type paces struct {
	chunk  int           // length of a chunk in bytes
	answer time.Duration // after which a server that does not answer is asked what it does
	remap  time.Duration // for which a batch that has no place waits
}

// A Route is a way for rows to reach their shard.
type Route string

// The routes.
const (
	// RouteAuto takes the fastest route that the server allows.
	RouteAuto Route = "auto"
	// RouteShard copies each batch into its shard, on the node that holds it. It
	// needs the right to lock the table's shards: that of its owner.
	RouteShard Route = "shard"
	// RouteNode copies each batch into the table's own name on the node that holds
	// its shard, and leaves it to Citus there to store it.
	RouteNode Route = "node"
	// RouteCoordinator sends each batch through the server that Conn names. On a
	// distributed table a batch holds rows of one shard alone.
	RouteCoordinator Route = "coordinator"
)

// A Format is how an input is written.
type Format string

// The formats.
const (
	// FormatCSV is COPY's FORMAT csv.
	FormatCSV Format = "csv"
	// FormatText is COPY's FORMAT text: tabs between fields, backslashes, \N for NULL.
	FormatText Format = "text"
	// FormatJSON is JSON: an object on each line, or one array of objects. Keys name columns.
	// A value that no record of the first megabyte has, in a column with a default, cannot be
	// loaded; other columns are NULL where a record does not name them. Delimiter, Null and
	// Header have no meaning, and Encoding is UTF8.
	FormatJSON Format = "json"
	// FormatParquet is Apache Parquet. Only files have it, and all values are UTF8.
	FormatParquet Format = "parquet"
)

// transcribed are the formats that COPY does not know. Their records are written in its text
// format.
var transcribed = map[Format]input.Format{FormatJSON: input.JSON, FormatParquet: input.Parquet}

// dialect returns how the input is written, as the package that reads it has it. Format is
// a valid one.
func (c *Config) dialect() pgcsv.Dialect {
	f, _ := pgcsv.Named(string(c.Format)) // CSV for one that validate refuses
	if _, ok := transcribed[c.Format]; ok {
		f = pgcsv.Text
	}
	return f.Dialect().With(c.Delimiter, c.Null).Quoted(c.Quote, c.Escape, c.NoQuotes)
}

// A Compression is how an input is compressed as it is stored.
type Compression string

// The compressions. Of a named one all streams, or members, that the input has are read;
// what else follows them is an error, but for zeros after gzip and xz.
const (
	// CompressionAuto takes what the content says. A file whose name says what its
	// content does not is refused.
	CompressionAuto  Compression = "auto"
	CompressionNone  Compression = "none"
	CompressionGzip  Compression = "gzip"
	CompressionZstd  Compression = "zstd"
	CompressionBzip2 Compression = "bzip2"
	CompressionXZ    Compression = "xz"
)

// Compressions returns all of them, auto first.
func Compressions() []Compression {
	return []Compression{CompressionAuto, CompressionNone, CompressionGzip, CompressionZstd, CompressionBzip2, CompressionXZ}
}

// rejectsExtension returns how the name of the file of rejected records ends. That of JSON must
// not be the name of their list.
func (c *Config) rejectsExtension() string {
	if c.Format == FormatJSON {
		return ".records.jsonl"
	}
	return c.dialect().Extension()
}

// Header says whether the first record names the columns.
type Header string

// The ways to treat the first record.
const (
	// HeaderAuto takes the first record for a header if one of its fields is
	// the name of a column; in the text format, which hardly ever has one, if all are.
	HeaderAuto Header = "auto"
	HeaderYes  Header = "yes"
	HeaderNo   Header = "no"
	// HeaderMatch takes it for a header that must name the table's columns, all of them and in
	// their order, as COPY's HEADER MATCH does.
	HeaderMatch Header = "match"
)

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	if c.Route == "" {
		c.Route = RouteAuto
	}
	if c.Header == "" {
		c.Header = HeaderAuto
	}
	if c.Format == "" {
		c.Format = FormatCSV
	}
	dialect := c.dialect()
	c.Delimiter, c.Null = dialect.Delimiter, dialect.Null
	if c.Encoding == "" {
		c.Encoding = "UTF8"
	}
	if c.MaxRecord == 0 {
		c.MaxRecord = DefaultMaxRecord
	}
	if c.Memory == 0 {
		c.Memory = DefaultMemory
	}
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	if c.Stage != StageAll {
		c.NoResume = true // it is not a load of the whole input
	}
	if c.OnConflict == "" {
		c.OnConflict = ConflictError
	}
	if c.RetryFor == 0 {
		c.RetryFor = DefaultRetryFor
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// sentEncoding returns the encoding in which records are sent.
func (c *Config) sentEncoding() string {
	if charset.Is(c.Encoding) {
		return "UTF8"
	}
	return c.Encoding
}

// defaultStreams is the number of streams where the Config names none. More than
// one stream per core gains nothing on one machine; beyond eight the disk of a
// typical coordinator is the limit.
func defaultStreams() int { return min(max(runtime.NumCPU(), 2), 8) }

// validate reports all mistakes of c, which has its defaults.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if c.Conn == nil {
		bad("no server is named")
	}
	if strings.TrimSpace(c.Table) == "" {
		bad("no table is named")
	}
	switch c.Route {
	case RouteAuto, RouteShard, RouteNode, RouteCoordinator:
	default:
		bad("route %q is unknown; want auto, shard, node or coordinator", c.Route)
	}
	switch c.Stage {
	case StageAll, StageDecode, StageStore:
	default:
		bad("stage %q is unknown", c.Stage)
	}
	switch c.Header {
	case HeaderAuto, HeaderYes, HeaderNo, HeaderMatch:
	default:
		bad("header %q is unknown; want auto, yes, no or match", c.Header)
	}
	if c.Compression != "" && !slices.Contains(Compressions(), c.Compression) {
		bad("compression %q is unknown; want one of %q", c.Compression, Compressions())
	}
	errs = append(errs, c.validateFormat(), c.validateConflict())
	if c.Memory < 8<<20 {
		bad("memory is %d bytes; want at least 8 MiB", c.Memory)
	}
	if c.MaxRecord > 1<<30 {
		bad("the longest record is %d bytes; PostgreSQL takes at most 1 GiB", c.MaxRecord)
	}
	if c.MaxRecord < 1 || int64(c.MaxRecord) > c.Memory/2 {
		bad("the longest record is %d bytes; want 1 to half of the memory (%d)", c.MaxRecord, c.Memory/2)
	}
	if c.Streams < 0 || c.Streams > MaxStreams {
		bad("%d streams; want 0 to %d", c.Streams, MaxStreams)
	}
	if c.Batch < 0 || c.Batch > 1<<30 {
		bad("a batch of %d bytes; want 1 to 1 GiB", c.Batch)
	}
	return errors.Join(errs...)
}

// validateFormat reports the mistakes in what describes the records. COPY has the
// same rules.
func (c Config) validateFormat() error {
	if _, ok := transcribed[c.Format]; ok {
		return c.validateTranscribed()
	}
	f, err := pgcsv.Named(string(c.Format))
	if err != nil {
		err = fmt.Errorf("format %q is unknown; want csv, text, json or parquet", c.Format)
	}
	errs := []error{err, c.dialect().Check()}
	switch {
	case c.NoQuotes && (c.Quote != 0 || c.Escape != 0):
		errs = append(errs, errors.New("a quote or an escape is named, and there are to be no quotes"))
	case f != pgcsv.CSV && (c.NoQuotes || len(c.ForceNull) > 0 || len(c.ForceNotNull) > 0):
		errs = append(errs, errors.New("the text format has no quotes, and so nothing is to be said of them"))
	}
	if c.Skip < 0 {
		errs = append(errs, fmt.Errorf("%d lines are to be skipped; want 0 or more", c.Skip))
	}
	return errors.Join(errs...)
}

// validateTranscribed is validateFormat for formats that have no such description.
func (c Config) validateTranscribed() error {
	var errs []error
	if c.dialect() != pgcsv.Text.Dialect() || c.NoQuotes || len(c.ForceNull) > 0 || len(c.ForceNotNull) > 0 {
		errs = append(errs, fmt.Errorf("format %s has no delimiter, no quotes and no null string", c.Format))
	}
	if c.Header != HeaderAuto || c.Skip != 0 {
		errs = append(errs, fmt.Errorf("format %s has no header: it names columns itself", c.Format))
	}
	if !server.IsUTF8(c.Encoding) {
		errs = append(errs, fmt.Errorf("format %s is in UTF8, not in encoding %s", c.Format, c.Encoding))
	}
	return errors.Join(errs...)
}

// watch returns what is done about servers that do not answer, on each connection of a
// load. A batch whose connection is given up is sent again, and the marks decide
// whether it was stored.
func (c *Config) watch() server.Watch {
	return server.Watch{Log: c.Log, Waits: c.Waits, Limit: c.RetryFor, Delay: c.paces.answer}
}

// A Stage is a part of the pipeline that can be run by itself, to measure it.
type Stage string

// The stages.
const (
	// StageAll is the whole pipeline: the zero value.
	StageAll Stage = ""
	// StageDecode reads, decodes and makes batches, and throws them away. Nothing
	// is stored.
	StageDecode Stage = "decode"
	// StageStore makes every batch before it stores the first, so that the time
	// between a Load's first and last batch is that of storing alone. The whole
	// input must fit into Memory.
	StageStore Stage = "store"
)

// A StoredBatch is what Config.Observe is told of a batch.
type StoredBatch struct {
	Node     string // the server that took it, host:port
	Rows     int64
	Rejected int64         // records that were kept aside
	Filtered int64         // records that Config.Where left out
	Bytes    int64         // of its rows as they were sent, line breaks of CSV apart
	Started  time.Time     // before BEGIN was sent
	Elapsed  time.Duration // until COMMIT was answered
}
