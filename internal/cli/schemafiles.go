package cli

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shardload/internal/infer"
	"shardload/internal/input"
	"shardload/internal/outline"
	"shardload/internal/pgcsv"
	"shardload/internal/server"
	"shardload/loader"
)

const schemaPrintHelp = `print writes the statements that make the dataset's tables. With files it writes a table
for them instead, and needs no server: it reads all of them to their end, and chooses
types, and NOT NULL, that hold for every record.

A type is chosen only where the server certainly takes every value and prints it again,
or means the same: integer, bigint, numeric, double precision, boolean (true, false, t,
f), uuid, date, timestamp and timestamptz (as 2026-01-31 12:00:00), inet, jsonb (objects
and lists; json where that would lose a part). All else is text: 007, 01/02/2026, yes.
Columns of files without a header are named c1, c2 and so on. First records of several
files must agree on whether they are headers, unless --header says it.

Comments name the columns that may be the key, and those by which rows may be
distributed, with the number of distinct values (exact up to some thousands, beyond
that estimated) and the largest share of the records that one of them has. load creates
no table: which column it is you decide.`

// outlineOptions are the flags of schema print that are about files.
type outlineOptions struct {
	table     string
	cfg       loader.Config // how files are read
	maxRecord int64
}

func (opt *outlineOptions) addFlags(cmd *cobra.Command) {
	opt.maxRecord = loader.DefaultMaxRecord
	cmd.Flags().Var(tableValue{&opt.table}, "table", "the table's name, as SQL writes it (default: the file's, without its endings)")
	readingFlags(cmd, &opt.cfg)
	cmd.Flags().Var(sizeValue{&opt.maxRecord, 1}, "max-record", "longest record that is believed to be one")
}

func newSchemaPrintCommand(a *app) *cobra.Command {
	var distribute bool
	var opt outlineOptions
	cmd := &cobra.Command{
		Use:   "print [FILE…]",
		Short: "Print the statements that make the tables, or a table for files",
		Long:  schemaPrintHelp,
		Example: `  shardload schema print | psql
  shardload schema print --distribute > schema.sql
  shardload schema print events.csv > events.sql
  shardload schema print --table app.events events.*.csv.gz`,
	}
	opt.addFlags(cmd)
	cmd.Flags().BoolVar(&distribute, "distribute", false, "also those that distribute the dataset's tables on Citus")
	cmd.RunE = func(cmd *cobra.Command, files []string) error {
		if len(files) == 0 {
			return printDataset(a, cmd, distribute)
		}
		if distribute {
			return usagef(cmd, "--distribute is about the dataset's tables: for files a comment names the columns to choose from")
		}
		if err := cmp.Or(checkReading(cmd, opt.cfg), checkFiles(cmd, files)); err != nil {
			return err
		}
		name, err := opt.tableName(cmd, files)
		if err != nil {
			return err
		}
		header, err := storeHeader(&a.console, cmd)
		if err != nil {
			return err
		}
		tables := []tableInput{{TableFiles: input.TableFiles{Files: files}, header: header}}
		if err := a.resolveFormats(tables, opt.cfg); err != nil {
			return err
		}
		resolved := opt.cfg
		resolved.Format = tables[0].as
		if err := checkReading(cmd, resolved); err != nil {
			return err
		}
		cfg := opt.config(tables[0])
		if cfg.Objects, err = tables[0].objects(placesOf(&a.console)); err != nil {
			return err
		}
		return opt.print(cmd.Context(), a, name, cfg)
	}
	return cmd
}

// checkNoFiles refuses flags that are about files.
func checkNoFiles(cmd *cobra.Command) (err error) {
	ours := cmd.LocalNonPersistentFlags()
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if ours.Lookup(f.Name) != nil && f.Name != "distribute" && f.Name != "help" {
			err = usagef(cmd, "--%s is about files, and none is named", f.Name)
		}
	})
	return err
}

// endingsOf takes the endings off the name of a file: of its compression, of its format,
// and the number of a part.
var endingsOf = regexp.MustCompile(`(?i)(\.[0-9]+)?(\.(csv|tsv|txt|text|json|jsonl|ndjson|parquet))?(\.(gz|gzip|zst|zstd|bz2|xz))?$`)

// tableName returns the parts of the table's name.
func (opt *outlineOptions) tableName(cmd *cobra.Command, files []string) ([]string, error) {
	if opt.table != "" {
		parts, err := server.ParseName(opt.table)
		if err != nil {
			return nil, usagef(cmd, "--table %s: %s", opt.table, err)
		}
		return parts, nil
	}
	name := ""
	for i, file := range files {
		of := endingsOf.ReplaceAllString(filepath.Base(beforeQuery(file)), "")
		switch {
		case file == "-" || of == "":
			return nil, usagef(cmd, "what is the table called? say so with --table")
		case i > 0 && of != name:
			return nil, usagef(cmd, "is the table called %s or %s? say so with --table", name, of)
		}
		name = of
	}
	return []string{name}, nil
}

// config returns how the files are read.
func (opt *outlineOptions) config(t tableInput) outline.Config {
	how := t.reading(opt.cfg, opt.maxRecord)
	header := outline.Header(opt.cfg.Header)
	if opt.cfg.Header == loader.HeaderMatch {
		header = outline.HeaderYes // there is no table yet
	}
	return outline.Config{
		Files: t.shown(), Header: header, Encoding: how.Encoding,
		Reading: input.Reading{Format: how.Input, MaxRecord: how.MaxRecord, Compression: how.Compression, Dialect: how.Dialect(), Skip: how.Skip},
		Forced:  pgcsv.Forced{Null: how.ForceNull, NotNull: how.ForceNotNull},
		Procs:   runtime.GOMAXPROCS(0),
	}
}

// An outlineJSON is the table for files, for machines.
type outlineJSON struct {
	infer.Table
	SQL string `json:"sql"`
}

// print reads the files, and prints the table.
func (opt *outlineOptions) print(ctx context.Context, a *app, name []string, cfg outline.Config) error {
	cfg.Stdin = a.Stdin
	a.note("reading all of %s: types must hold for every record", strings.Join(cfg.Files, ", "))
	var far outline.Progress
	total := storedSize(cfg.Files)
	stop := a.progress(ctx, name[len(name)-1], func() snapshot {
		n, bytes := far.Records()
		return snapshot{Rows: n, Bytes: bytes, Done: far.Stored(), Total: total}
	})
	found, err := outline.Read(ctx, cfg, &far)
	stop()
	if err != nil {
		return err
	}
	opt.noteHeader(a, found)
	table := infer.Table{Name: name, Records: found.Records, Columns: found.Columns}
	if a.json {
		return a.printJSON(outlineJSON{table, table.SQL()})
	}
	return table.Print(a.data())
}

// noteHeader says what the first record was taken for.
func (opt *outlineOptions) noteHeader(a *app, found *outline.Outline) {
	last := fmt.Sprintf("c%d", len(found.Columns))
	switch {
	case found.Numbered && found.Guessed:
		a.note("there is no header, so the columns are called c1 to %s; if the first record names them say --header yes", last)
	case found.Numbered:
		a.note("without a header the columns are called c1 to %s", last)
	case found.Guessed:
		a.note("the first record is taken for a header, as all of its fields are texts; if it is none say --header no")
	}
}
