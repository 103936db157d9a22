package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shardload/generate"
	"shardload/internal/term"
)

const generateHelp = `generate writes the dataset of the Citus multi-tenant tutorial, in the size asked
for: companies.csv, campaigns.csv, ads.csv, and a manifest.json with sizes, counts
and checksums. The same flags give the same bytes on any machine, with any number
of goroutines. A file appears whole or not at all; after an interrupt the same
command keeps the files that are finished, and goes on with the rest. Where there
is another dataset already, nothing is written.

The files are CSV as psql's \copy … with (format csv, header) reads them; with
--format text they are what a bare \copy reads, and with --tutorial those that the
tutorial's own \copy commands name. With --format json they are TABLE.jsonl, an object
on each line; with --format parquet TABLE.parquet. Several machines share the work
with --part 1/10, --part 2/10 and so on: the parts in order, headers apart, are
byte for byte the whole.

With --dirty 0.001 one record in a thousand is damaged: a value of the wrong type or
out of range, a field too few, a key that was there, bytes that are not UTF-8, a
parent that does not exist. TABLE.dirty.jsonl lists them, with line and kind.`

// generateOptions are the flags of generate, its sizes apart.
type generateOptions struct {
	out    string
	stdout bool
	tables []string
	part   partValue
	split  int64
	format string
	// tutorial asks for the files of the tutorial's \copy commands: in the text format,
	// in the current directory.
	tutorial bool
	generate.Output
}

// A generateVerb makes a dataset.
type generateVerb struct {
	*app
	dataset *generate.Dataset
}

func newGenerateCommand(a *app) *cobra.Command {
	opt := generateOptions{format: generate.CSV.String()}
	cmd := &cobra.Command{
		Use:   "generate --out DIR | --stdout --table TABLE",
		Short: "Write a synthetic dataset to files",
		Long:  generateHelp,
		Example: `  shardload generate --out data
  shardload generate --out data --size 10GiB --split 1GiB --compress zstd
  shardload generate --out data --companies 100 --campaigns 5000 --ads 10_000_000 --seed 7
  shardload generate --out data --size 1TiB --part 3/10
  shardload generate --tutorial --ads 10000
  shardload generate --stdout --table ads --no-header | psql -c '\copy ads from stdin csv'`,
		Args: cobra.NoArgs,
	}
	sizes := opt.addFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		out, err := opt.output(cmd, a.json)
		if err != nil {
			return err
		}
		data, err := sizes.dataset(cmd)
		if err != nil {
			return err
		}
		v := &generateVerb{a, data}
		if opt.stdout {
			return v.toStdout(cmd.Context(), out)
		}
		return v.toDir(cmd.Context(), opt.out, out)
	}
	return cmd
}

func (opt *generateOptions) addFlags(cmd *cobra.Command) *sizeFlags {
	flags := cmd.Flags()
	flags.StringVar(&opt.out, "out", "", "the directory to write to; made if need be")
	flags.BoolVar(&opt.stdout, "stdout", false, "write the rows of one table to standard output")
	flags.StringSliceVar(&opt.tables, "table", nil, "the tables to write, with commas between (default: all)")
	completes(cmd, "table", completesList(datasetTables()))
	flags.Var(&opt.part, "part", "the piece to write of each table: 3/10 is the third of ten")
	flags.Var(sizeValue{&opt.split, 1}, "split", "write files of about this many bytes, before compression, such as 1GiB")
	flags.Lookup("split").DefValue = ""
	choiceFlag(cmd, &opt.Compression, "compress", "compress files", generate.Gzip, generate.Zstd)
	sizes := addSizeFlags(flags)
	sizes.addDirtyFlag()
	sizes.addProcsFlag()
	choiceFlag(cmd, &opt.format, "format", "how rows are written", generate.CSV.String(), generate.Text.String(), generate.JSON.String(), generate.Parquet.String())
	flags.BoolVar(&opt.tutorial, "tutorial", false, `write the files of the tutorial's \copy commands: --format text --out .`)
	flags.BoolVar(&opt.NoHeader, "no-header", false, "leave the line with the columns' names out of CSV files")
	flags.BoolVar(&opt.NoChecksums, "no-checksums", false, "leave the columns' checksums and SHA-256 out of the manifest, which cost more time than the rows")
	return sizes
}

// output returns what the flags ask for, or what is wrong with them.
func (opt *generateOptions) output(cmd *cobra.Command, asJSON bool) (generate.Output, error) {
	out := opt.Output
	out.Tables = opt.tables
	out.Split = opt.split
	if opt.tutorial {
		if opt.stdout || opt.out != "" || cmd.Flags().Changed("format") || opt.Compression != "" || opt.split > 0 || opt.part.of > 0 {
			return out, usagef(cmd, "--tutorial writes whole files in the text format to the current directory: leave --out, --stdout, --format, --compress, --split and --part out")
		}
		opt.out, opt.format = ".", generate.Text.String()
	}
	switch {
	case opt.out == "" && !opt.stdout:
		return out, usagef(cmd, "where to? name a directory with --out, or use --stdout")
	case opt.out != "" && opt.stdout:
		return out, usagef(cmd, "--out and --stdout: want one of them")
	case opt.stdout && len(opt.tables) != 1:
		return out, usagef(cmd, "standard output takes the rows of one table: say which with --table")
	case opt.stdout && asJSON:
		return out, usagef(cmd, "--stdout writes rows, which are no JSON document: leave --json out, or name a directory with --out")
	case opt.stdout && opt.split > 0:
		return out, usagef(cmd, "--split is for files, not for --stdout")
	}
	out.Part, out.Parts = opt.part.number, opt.part.of
	for _, table := range opt.tables {
		if !slices.Contains(datasetTables(), table) {
			return out, usagef(cmd, "table %s: the dataset has %s", table, strings.Join(datasetTables(), ", "))
		}
	}
	return out, out.Format.UnmarshalText([]byte(opt.format))
}

// toStdout writes the rows of one table.
func (v *generateVerb) toStdout(ctx context.Context, out generate.Output) error {
	table, err := v.dataset.Table(out.Tables[0])
	if err != nil {
		return err
	}
	if out.Parts > 0 {
		table = table.Part(out.Part, out.Parts)
	}
	begun := time.Now()
	var written generate.Progress
	written.Total.Store(table.Rows())
	out.Progress, out.NoChecksums = &written, true // nobody would see them
	stop := v.show(ctx, &written)
	defer stop()
	f, err := table.Stream(ctx, v.data(), out)
	stop()
	if err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	v.noteRates(f.Rows, f.Bytes, time.Since(begun))
	return nil
}

// toDir writes the dataset to files, and says which.
func (v *generateVerb) toDir(ctx context.Context, dir string, out generate.Output) error {
	begun := time.Now()
	var written generate.Progress
	out.Progress = &written
	m, err := v.write(ctx, dir, out)
	if err != nil {
		if written.Rows.Load() > 0 {
			v.note("the files that are finished stay: the same command goes on with the rest")
		}
		return err
	}
	if v.json {
		return v.printJSON(m)
	}
	var rows [][]string
	var sum generate.File
	for _, f := range m.Files {
		rows = append(rows, []string{filepath.Join(dir, f.Name), count(f.Rows), size(f.Bytes)})
		sum.Rows += f.Rows
		sum.Bytes += f.Bytes
	}
	rows = append(rows, nil, []string{"together", count(sum.Rows), size(sum.Bytes)})
	err = printTable(v.Stdout, []string{"~file", ">rows", ">bytes"}, rows)
	if kept := written.Kept.Load(); kept > 0 {
		v.note("%s %s there already", plural(kept, "row"), term.Verb(kept, "was", "were"))
	}
	v.noteRates(written.Rows.Load(), written.Bytes.Load(), time.Since(begun))
	return err
}

func (v *generateVerb) noteRates(rows, bytes int64, elapsed time.Duration) {
	v.note("took %s: %s rows/s, %s/s", seconds(elapsed), count(rate(rows, elapsed)), size(rate(bytes, elapsed)))
}

// write writes the dataset, and shows how far it has come.
func (v *generateVerb) write(ctx context.Context, dir string, out generate.Output) (generate.Manifest, error) {
	if out.Progress == nil {
		out.Progress = new(generate.Progress)
	}
	stop := v.show(ctx, out.Progress)
	defer stop()
	return v.dataset.Write(ctx, dir, out)
}

// show shows p until stop is called. What was there already is no part
// of the work.
func (v *generateVerb) show(ctx context.Context, p *generate.Progress) (stop func()) {
	return v.progress(ctx, "generate", func() snapshot {
		rows := p.Rows.Load()
		return snapshot{Rows: rows, Bytes: p.Bytes.Load(), Done: rows, Total: p.Total.Load() - p.Kept.Load()}
	})
}
