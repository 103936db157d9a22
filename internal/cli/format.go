package cli

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"shardload/generate"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/places"
	"shardload/loader"
)

// formatAuto is what the manifest beside the files says, else their names, else their content,
// else CSV.
const formatAuto loader.Format = "auto"

// formatFlag adds the flag that says how files are written.
func formatFlag(cmd *cobra.Command, format *loader.Format) {
	*format = formatAuto
	choiceFlag(cmd, format, "format", "how the files are written; auto is as the directory's manifest says, or their names, or their content, else csv",
		formatAuto, loader.FormatCSV, loader.FormatText, loader.FormatJSON, loader.FormatParquet)
}

// A detected format is that of files of which nobody has said it.
type detected struct {
	loader.Format
	// looks is the file whose content alone says so, "" where a name does, or nothing.
	looks string
}

// compressionFlag adds the flag that says how the files are compressed.
func compressionFlag(cmd *cobra.Command, compression *loader.Compression) {
	*compression = loader.CompressionAuto
	choiceFlag(cmd, compression, "compression", "how the files are compressed; auto is as their content says", loader.Compressions()...)
}

// formatOf returns in which format the input is to be read, of which the flags say what is asked.
func (t tableInput) formatOf(flags loader.Config, opt places.Options) (detected, error) {
	asked := flags.Format
	switch {
	case t.data != nil:
		return detected{Format: loader.FormatCSV}, nil // as it is made
	case asked != formatAuto && asked != "":
		return detected{Format: asked}, nil
	case t.format == generate.Text:
		return detected{Format: loader.FormatText}, nil
	case t.format == generate.JSON:
		return detected{Format: loader.FormatJSON}, nil
	case t.format == generate.Parquet:
		return detected{Format: loader.FormatParquet}, nil
	}
	if t.mixes {
		at, err := t.first(context.Background(), opt)
		return detectOne(at, flags.Compression), err // the others may be of others
	}
	return t.detect(flags.Compression, opt)
}

// detect returns the format of the files, which must all have the same.
func (t tableInput) detect(as loader.Compression, opt places.Options) (all detected, err error) {
	for i, file := range t.Files {
		at, err := t.at(file, opt)
		if err != nil {
			return all, err
		}
		one := detectOne(at, as)
		if i > 0 && one.Format != all.Format {
			return all, fmt.Errorf("%s looks like %s, and %s like %s: load them one by one, or say with --format how they are written", places.Identity(t.Files[0]), all.Format, at.Name, one.Format)
		}
		if i == 0 || all.looks == "" {
			all = one
		}
	}
	if all.Format == "" {
		all.Format = loader.FormatCSV
	}
	return all, nil
}

// formatNames has what the ends of names say.
var formatNames = map[string]loader.Format{
	".csv": loader.FormatCSV, ".json": loader.FormatJSON, ".jsonl": loader.FormatJSON, ".ndjson": loader.FormatJSON,
	".parquet": loader.FormatParquet, ".pq": loader.FormatParquet,
}

// compressedNames are ends of names that say nothing of the format.
var compressedNames = []string{".gz", ".zst", ".zstd", ".bz2", ".xz"}

// detectOne returns the format of a file: by its name, and where that says nothing by its content.
func detectOne(at input.Location, as loader.Compression) detected {
	name := strings.ToLower(filepath.Base(beforeQuery(at.Name)))
	for _, end := range compressedNames {
		name = strings.TrimSuffix(name, end)
	}
	if format, ok := formatNames[filepath.Ext(name)]; ok {
		return detected{Format: format}
	}
	switch input.LooksLike(context.Background(), at, input.Compression(as)) {
	case input.JSON:
		return detected{Format: loader.FormatJSON, looks: at.Name}
	case input.Parquet:
		return detected{Format: loader.FormatParquet, looks: at.Name}
	}
	return detected{Format: loader.FormatCSV}
}

// resolveFormats finds out in which format each of tables is read, and tells of one that is only
// guessed.
func (c *console) resolveFormats(tables []tableInput, flags loader.Config) error {
	for i := range tables {
		d, err := tables[i].formatOf(flags, placesOf(c))
		if err != nil {
			return err
		}
		tables[i].as = d.Format
		if d.looks != "" {
			c.note("note: %s looks like %s, and is read as that; --format says otherwise", d.looks, strings.ToUpper(string(d.Format)))
		}
	}
	return nil
}

// recordsOf returns the format as the packages that read records have it: that of the input, and
// that of its records or of their transcript.
func (t tableInput) recordsOf() (input.Format, pgcsv.Format) {
	switch t.as {
	case loader.FormatJSON:
		return input.JSON, pgcsv.Text
	case loader.FormatParquet:
		return input.Parquet, pgcsv.Text
	}
	f, _ := pgcsv.Named(string(t.as)) // the flag takes no others
	return input.Delimited, f
}
