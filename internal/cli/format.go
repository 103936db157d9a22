package cli

import (
	"github.com/spf13/cobra"

	"shardload/generate"
	"shardload/internal/pgcsv"
	"shardload/loader"
)

// formatAuto is what the manifest beside the files says, else CSV.
const formatAuto loader.Format = "auto"

// formatFlag adds the flag that says how files are written.
func formatFlag(cmd *cobra.Command, format *loader.Format) {
	*format = formatAuto
	choiceFlag(cmd, format, "format", "how the files are written; auto is as the directory's manifest says, else csv",
		formatAuto, loader.FormatCSV, loader.FormatText)
}

// compressionFlag adds the flag that says how the files are compressed.
func compressionFlag(cmd *cobra.Command, compression *loader.Compression) {
	*compression = loader.CompressionAuto
	choiceFlag(cmd, compression, "compression", "how the files are compressed; auto is as their content says", loader.Compressions()...)
}

// formatOf returns in which format the input is to be read.
func (t tableInput) formatOf(asked loader.Format) loader.Format {
	switch {
	case t.data != nil:
		return loader.FormatCSV // as it is made
	case asked != formatAuto && asked != "":
		return asked
	case t.format == generate.Text:
		return loader.FormatText
	}
	return loader.FormatCSV
}

// recordsOf returns the same as the package that reads records has it.
func (t tableInput) recordsOf(asked loader.Format) pgcsv.Format {
	f, _ := pgcsv.Named(string(t.formatOf(asked))) // the flag takes no others
	return f
}
