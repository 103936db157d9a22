package cli

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"shardload/generate"
	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/verify"
	"shardload/loader"
)

const verifyHelp = `verify compares the database with what was loaded, and exits 4 if it finds a
difference. It changes nothing.

  counts     each table has as many rows as the directory's manifest says, or, without
             one, as its files have records
  placement  each row lies in the shard that Citus looks for it in
  integrity  no campaign without its company, no ad without its campaign
  contents   with --deep: each column has the values of the files, and each row too

--deep adds up hashes of all values, here of the files and there of the shards, all at
once. Read the files as they were loaded (--format, --header,
--skip, --null, --delimiter, --quote and so on; --select, --where): what the server has
evaluated it evaluates again. Name them as to load: patterns in quotes, directories,
URLs and prefixes, too. They are read several at a time.
Where contents differ it names the columns and, up to ten, the tenants: values of the
distribution column, or of the primary key of a table that is not distributed. Nothing
should write to the tables meanwhile. Records that the load has rejected are left out if
their list is named with --rejects. If the directory's manifest has checksums, they too
are compared with the files and the table.

With --generate the database is compared with the dataset as it is made, without files.
Without arguments the dataset's tables are checked for placement and integrity. For
tables of your own, name the table and the files that it was loaded from.`

// verifyOptions are the flags of verify.
type verifyOptions struct {
	read      loader.Config // of it what says how files are read
	maxRecord int64
	deep      bool
	rejects   []string
}

// A verifyVerb compares tables with what was loaded into them.
type verifyVerb struct {
	*app
	opt verifyOptions
}

func newVerifyCommand(a *app) *cobra.Command {
	var table string
	opt := verifyOptions{maxRecord: loader.DefaultMaxRecord}
	cmd := &cobra.Command{
		Use:   "verify [DIR] | verify --table TABLE FILE… | verify --generate",
		Short: "Compare the database with what was loaded",
		Long:  verifyHelp,
		Example: `  shardload verify data
  shardload verify --deep --table events events.*.csv.gz
  shardload verify --generate --size 10GiB
  shardload verify --json`,
	}
	flags := cmd.Flags()
	flags.Var(tableValue{&table}, "table", "the table that the files belong to, as SQL writes it")
	flags.BoolVar(&opt.deep, "deep", false, "compare contents, not only counts")
	flags.StringArrayVar(&opt.rejects, "rejects", nil, "TABLE.rejects.jsonl of the load: records that the table need not have (may be repeated)")
	readingFlags(cmd, &opt.read)
	selectFlags(flags, &opt.read)
	flags.Var(sizeValue{&opt.maxRecord, 1}, "max-record", "longest record that is believed to be one")
	completes(cmd, "table", a.fromServer(completeTables))
	generated := addGeneratedFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkReading(cmd, opt.read); err != nil {
			return err
		}
		if slices.Contains(args, "-") {
			return usagef(cmd, "standard input is gone once it is loaded: name files, or count the rows yourself")
		}
		if opt.deep && len(args) == 0 && !generated.generate {
			return usagef(cmd, "--deep compares with files: name a directory, or --table and files")
		}
		if err := checkSelect(cmd, &opt.read, table); err != nil {
			return err
		}
		if !opt.deep && (opt.read.Select != "" || opt.read.Where != "") {
			return usagef(cmd, "--select and --where are about contents: say --deep")
		}
		if len(opt.rejects) > 0 && (!opt.deep || table == "") {
			return usagef(cmd, "--rejects is about one table's contents: say --deep and --table")
		}
		var tables []tableInput
		if len(args) > 0 || table != "" || generated.generate || generated.refuse(cmd) != nil {
			var err error
			if tables, err = generated.inputsOf(&a.console, cmd, table, args); err != nil {
				return err
			}
		}
		return a.withServer(cmd.Context(), func(conn *pgx.Conn) error {
			v := &verifyVerb{a, opt}
			report, err := v.check(cmd.Context(), conn, table == "", tables)
			if err != nil {
				return err
			}
			report.Seconds = time.Since(a.begun).Seconds()
			return errors.Join(report.problem(), v.print(report))
		})
	}
	return cmd
}

// A verifyReport is a Report and its verdict.
type verifyReport struct {
	Passed bool `json:"ok"`
	verify.Report
	// From the start of the command to its end, and the parts of that but for connecting.
	Seconds float64 `json:"seconds"`
	Parts   []phase `json:"parts"`
}

// check checks tables against their files. The dataset's tables are checked for
// integrity as well; if no tables are given, all of them, but not counted.
func (v *verifyVerb) check(ctx context.Context, conn *pgx.Conn, dataset bool, tables []tableInput) (report verifyReport, err error) {
	if err := v.lookUp(ctx, tables); err != nil {
		return report, err
	}
	names := tableNames(tables)
	if len(tables) == 0 {
		names = datasetTables()
	}
	part := func(name string, do func() error) error {
		begun, stop := time.Now(), v.progress(ctx, "verify: "+name, nil)
		defer stop()
		err := do()
		report.Parts = append(report.Parts, phase{Name: name, Seconds: time.Since(begun).Seconds()})
		return err
	}
	asking := func(do func() error) func() error { return func() error { return v.persist(ctx, conn, do) } }
	err = part("recover", asking(func() (err error) {
		_, report.Recovery, err = citus.Recover(ctx, conn)
		return err
	}))
	if err == nil && v.opt.deep {
		err = part("contents", func() (err error) {
			report.Deep, err = v.compare(ctx, conn, tables)
			return err
		})
	}
	if err == nil {
		err = part("counts", func() error {
			expected, err := v.expect(ctx, conn, tables)
			if err != nil {
				return err
			}
			return v.persist(ctx, conn, func() (err error) {
				report.Counts, err = verify.Counts(ctx, conn, expected)
				return err
			})
		})
	}
	if err == nil {
		err = part("placement", asking(func() (err error) {
			report.Placement, err = verify.Placement(ctx, conn, names)
			return err
		}))
	}
	if err == nil && dataset {
		err = part("integrity", asking(func() (err error) {
			report.Integrity, err = verify.Integrity(ctx, conn, references(names))
			return err
		}))
	}
	report.Passed = err == nil && report.OK()
	return report, err
}

// compare compares the contents of tables with their files. A table of which no
// manifest says how many rows it has gets their number from its files.
func (v *verifyVerb) compare(ctx context.Context, conn *pgx.Conn, tables []tableInput) (checks []verify.DeepCheck, err error) {
	server, err := v.server()
	if err != nil {
		return nil, err
	}
	for i, t := range tables {
		v.note("%s: comparing the contents with %s", t.Table, t.what())
		cfg := verify.DeepConfig{Conn: server, Table: t.Table, Reading: t.reading(v.opt.read, v.opt.maxRecord), Select: v.opt.read.Select, Where: v.opt.read.Where, Rejects: v.opt.rejects, Expected: t.sums}
		if cfg.Inputs, err = v.inputs(t); err != nil {
			return nil, err
		}
		var check verify.DeepCheck
		err := v.persist(ctx, conn, func() (err error) {
			check, err = verify.Deep(ctx, cfg)
			return err
		})
		if err != nil {
			return checks, err
		}
		if t.Rows < 0 {
			tables[i].Rows = check.Input.Rows + check.Unloadable.Records
			tables[i].counted = true
		}
		if advice := check.Advice(); advice != "" {
			check.Next = strings.TrimSuffix(check.Next, advice) + inFlags.Replace(advice)
		}
		checks = append(checks, check)
	}
	return checks, nil
}

// references returns which of the dataset's rows refer to which others, for the
// tables of those names.
func references(tables []string) []verify.Reference {
	var list []verify.Reference
	for _, ref := range []verify.Reference{
		{Child: "campaigns", ChildColumns: []string{"company_id"}, Parent: "companies", ParentColumns: []string{"id"}},
		{Child: "ads", ChildColumns: []string{"campaign_id", "company_id"}, Parent: "campaigns", ParentColumns: []string{"id", "company_id"}},
	} {
		if slices.Contains(tables, ref.Child) {
			list = append(list, ref)
		}
	}
	return list
}

// expect says how many rows each table should have: what the manifest says, or
// the records of the files.
func (v *verifyVerb) expect(ctx context.Context, conn *pgx.Conn, tables []tableInput) ([]verify.Expected, error) {
	var list []verify.Expected
	for _, t := range tables {
		e := verify.Expected{Table: t.Table, Rows: t.Rows, Source: generate.ManifestName}
		if t.counted {
			e.Source = strings.Join(t.shown(), ", ")
		}
		if t.data != nil {
			e.Source, e.Rows = t.Files[0], t.data.Stored()
		}
		if t.Rows < 0 {
			v.note("%s: counting the records of %s", t.Table, t.what())
			columns, err := catalog.Lookup(ctx, conn, t.Table)
			if err != nil {
				return nil, err
			}
			if e.Rows, err = v.countRecords(ctx, columns, t); err != nil {
				return nil, err
			}
			e.Source = strings.Join(t.shown(), ", ")
		}
		list = append(list, e)
	}
	return list, nil
}

// lookUp finds out which inputs are meant, and how they are written.
func (v *verifyVerb) lookUp(ctx context.Context, tables []tableInput) (err error) {
	for i := range tables {
		t := &tables[i]
		if t.mixes = t.isSet(); !t.mixes {
			continue
		}
		if t.parts, err = t.partsOf(ctx, t.Files, placesOf(&v.console)); err != nil {
			return err
		}
	}
	return v.resolveFormats(tables, v.opt.read)
}

// inputs returns what the contents of t are compared with.
func (v *verifyVerb) inputs(t tableInput) (list []verify.Input, err error) {
	if t.data != nil {
		return []verify.Input{verify.Blocks(t.Files[0], t.data)}, nil
	}
	parts, err := t.located(placesOf(&v.console))
	for _, at := range parts {
		one := verify.At(at)
		if as := t.readAs(at, v.opt.read); as != t.as {
			one = one.As(t.readingAs(as, v.opt.read, v.opt.maxRecord))
		}
		list = append(list, one)
	}
	return list, err
}

// countRecords counts the records of t's files, several at a time, without their headers.
func (v *verifyVerb) countRecords(ctx context.Context, table *catalog.Table, t tableInput) (int64, error) {
	server, err := v.server()
	if err != nil {
		return 0, err
	}
	parts, err := t.located(placesOf(&v.console))
	if err != nil {
		return 0, err
	}
	var sum atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, at := range parts {
		g.Go(func() error {
			reading := t.readingAs(t.readAs(at, v.opt.read), v.opt.read, v.opt.maxRecord)
			n, err := countRecords(ctx, server, table, at, reading)
			sum.Add(n)
			return err
		})
	}
	err = g.Wait()
	return sum.Load(), err
}

// countRecords counts the records of an input, without its header.
func countRecords(ctx context.Context, server *pgx.ConnConfig, table *catalog.Table, at input.Location, reading verify.Reading) (int64, error) {
	dialect := reading.Dialect()
	how := input.Reading{Format: reading.Input, Chunk: pgcsv.ChunkSize, Dialect: dialect, Skip: reading.Skip, MaxRecord: reading.MaxRecord, Compression: reading.Compression}
	if c := verify.Charset(server, reading.Encoding); c != nil {
		how.Convert = func(r io.Reader) io.ReadCloser { return c.Reader(ctx, r) }
	}
	n, first, err := input.CountRecords(ctx, at, how)
	if err != nil || first == nil {
		return n, err
	}
	header := reading.Header == verify.HeaderYes || reading.Header == verify.HeaderMatch
	if reading.Header == verify.HeaderAuto {
		header = table.LooksLikeHeader(dialect.Values(first), dialect.RareHeader())
	}
	if n > 0 && header {
		n--
	}
	return n, nil
}
