package cli

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"shardload/generate"
)

const generateHelp = `generate writes the dataset of the Citus multi-tenant tutorial, in the size asked
for: companies.csv, campaigns.csv, ads.csv, and a manifest.json with sizes, counts
and checksums. The same flags give the same bytes on any machine, with any number
of goroutines. A file appears whole or not at all.

The files are CSV as psql's \copy … with (format csv, header) reads them; with
--format text they are what a bare \copy reads.`

// generateOptions are the flags of generate, its sizes apart.
type generateOptions struct {
	out      string
	format   string
	noHeader bool
}

func newGenerateCommand(a *app) *cobra.Command {
	opt := generateOptions{format: generate.CSV.String()}
	cmd := &cobra.Command{
		Use:   "generate --out DIR",
		Short: "Write a synthetic dataset to files",
		Long:  generateHelp,
		Example: `  shardload generate --out data
  shardload generate --out data --companies 100 --campaigns 5000 --ads 10_000_000 --seed 7
  shardload generate --out data --format text`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&opt.out, "out", "", "the directory to write to; made if need be")
	sizes := addSizeFlags(flags)
	choiceFlag(cmd, &opt.format, "format", "how rows are written", generate.CSV.String(), generate.Text.String())
	flags.BoolVar(&opt.noHeader, "no-header", false, "leave the line with the columns' names out of CSV files")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if opt.out == "" {
			return usagef(cmd, "where to? name a directory with --out")
		}
		data, err := newDataset(cmd, sizes)
		if err != nil {
			return err
		}
		out := generate.Output{NoHeader: opt.noHeader}
		if err := out.Format.UnmarshalText([]byte(opt.format)); err != nil {
			return err
		}
		return a.runGenerate(cmd.Context(), data, sizes.config(), opt.out, out)
	}
	return cmd
}

// newDataset makes the dataset that the flags ask for. What is wrong with them is
// a mistake in usage.
func newDataset(cmd *cobra.Command, sizes *sizeFlags) (*generate.Dataset, error) {
	data, err := generate.New(sizes.config())
	if err != nil {
		return nil, usagef(cmd, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return data, nil
}

func (a *app) runGenerate(ctx context.Context, data *generate.Dataset, cfg generate.Config, dir string, out generate.Output) error {
	begun := time.Now()
	m, err := a.generate(ctx, data, cfg, dir, out)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(m)
	}
	elapsed := time.Since(begun)
	var rows [][]string
	var sum generate.File
	for _, f := range m.Files {
		rows = append(rows, []string{filepath.Join(dir, f.Name), count(f.Rows), size(f.Bytes)})
		sum.Rows += f.Rows
		sum.Bytes += f.Bytes
	}
	rows = append(rows, nil, []string{"together", count(sum.Rows), size(sum.Bytes)})
	err = printTable(a.Stdout, []string{"file", ">rows", ">bytes"}, rows)
	a.note("took %s: %s rows/s, %s/s", seconds(elapsed), count(rate(sum.Rows, elapsed)), size(rate(sum.Bytes, elapsed)))
	return err
}

// generate writes the dataset, and shows how far it has come.
func (a *app) generate(ctx context.Context, data *generate.Dataset, cfg generate.Config, dir string, out generate.Output) (generate.Manifest, error) {
	var written generate.Progress
	out.Progress = &written
	total := cfg.Companies + cfg.Campaigns + cfg.Ads
	stop := a.progress("generate", func() snapshot {
		return snapshot{Rows: written.Rows.Load(), Bytes: written.Bytes.Load(), Done: written.Rows.Load(), Total: total}
	})
	defer stop()
	return data.Write(ctx, dir, out)
}
