package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/verify"
	"shardload/loader"
)

// readingFlags adds the flags that say how files are read to cmd, and keeps what they say in cfg.
func readingFlags(cmd *cobra.Command, cfg *loader.Config) {
	flags := cmd.Flags()
	cfg.Header, cfg.Encoding = loader.HeaderAuto, "UTF8"
	formatFlag(cmd, &cfg.Format)
	compressionFlag(cmd, &cfg.Compression)
	choiceFlag(cmd, &cfg.Header, "header", "whether the first record names the columns (match: all of the table's, in its order)",
		loader.HeaderAuto, loader.HeaderYes, loader.HeaderNo, loader.HeaderMatch)
	flags.IntVar(&cfg.Skip, "skip", 0, "lines before the header, or before the first record, that are no records")
	flags.StringVar(&cfg.Null, "null", "", "the string that means NULL: in csv unquoted, and by default the empty one, in text \\N")
	flags.Var(charValue{&cfg.Delimiter, "between fields", "--delimiter", nil}, "delimiter", `the character between fields, or "tab" (default: a comma, in text a tab)`)
	flags.Var(charValue{&cfg.Quote, "around values", "--quote", &cfg.NoQuotes}, "quote", `the character around values in csv, or "none": a quote is data (default: ")`)
	flags.Var(charValue{&cfg.Escape, "before a quote", "--escape", nil}, "escape", "the character before a quote that belongs to a quoted value in csv (default: the quote)")
	flags.StringSliceVar(&cfg.ForceNull, "force-null", nil, "columns of csv in which --null means NULL in quotes, too; * for all")
	flags.StringSliceVar(&cfg.ForceNotNull, "force-not-null", nil, "columns of csv in which --null is a value and not NULL; * for all")
	flags.StringVar(&cfg.Encoding, "encoding", cfg.Encoding, "the files' encoding, by PostgreSQL's name")
	storeFlags(cmd)
}

// readingWords returns the flags that say what cfg says of how files are read.
func readingWords(cfg loader.Config) (words []string) {
	add := func(differs bool, flag, value string) {
		if differs {
			words = append(words, flag, value)
		}
	}
	add(cfg.Format != formatAuto && cfg.Format != "", "--format", string(cfg.Format))
	add(cfg.Compression != loader.CompressionAuto, "--compression", string(cfg.Compression))
	add(cfg.Header != loader.HeaderAuto, "--header", string(cfg.Header))
	add(cfg.Skip > 0, "--skip", strconv.Itoa(cfg.Skip))
	add(cfg.Null != "", "--null", cfg.Null)
	add(cfg.Delimiter != 0 && (cfg.Delimiter != ',' || cfg.Format == loader.FormatText), "--delimiter", charName(cfg.Delimiter))
	add(cfg.NoQuotes, "--quote", quoteNone)
	add(cfg.Quote != 0, "--quote", charName(cfg.Quote))
	add(cfg.Escape != 0, "--escape", charName(cfg.Escape))
	add(len(cfg.ForceNull) > 0, "--force-null", strings.Join(cfg.ForceNull, ","))
	add(len(cfg.ForceNotNull) > 0, "--force-not-null", strings.Join(cfg.ForceNotNull, ","))
	add(cfg.Encoding != "UTF8", "--encoding", cfg.Encoding)
	return words
}

// reading returns how verify reads the files of t, that were loaded with cfg.
func (t tableInput) reading(cfg loader.Config, maxRecord int64) verify.Reading {
	return t.readingAs(t.as, cfg, maxRecord)
}

// readingAs is reading of those that are in that format.
func (t tableInput) readingAs(as loader.Format, cfg loader.Config, maxRecord int64) verify.Reading {
	if as != t.as { // of which cfg does not speak, as the loader has it
		cfg.Delimiter, cfg.Quote, cfg.Escape, cfg.Null = 0, 0, 0, ""
	}
	if as != t.as && as != loader.FormatCSV {
		cfg.NoQuotes, cfg.ForceNull, cfg.ForceNotNull = false, nil, nil
		cfg.Header, cfg.Skip = loader.HeaderAuto, 0
	}
	t.as = as
	of, records := t.recordsOf()
	return verify.Reading{
		Input: of, Format: records, Header: verify.Header(cfg.Header), Skip: cfg.Skip, Null: cfg.Null, Delimiter: cfg.Delimiter,
		Quote: cfg.Quote, NoQuotes: cfg.NoQuotes, Escape: cfg.Escape, ForceNull: cfg.ForceNull, ForceNotNull: cfg.ForceNotNull,
		Encoding: cfg.Encoding, MaxRecord: int(maxRecord), Compression: input.Compression(cfg.Compression),
	}
}

// quoteNone is no quote.
const quoteNone = "none"

// A charValue is a flag that takes a byte, which COPY has in one place.
type charValue struct {
	char  *byte
	where string
	flag  string
	none  *bool // takes that there is to be none, nil where there must be one
}

func (v charValue) Type() string { return "char" }

func (v charValue) String() string {
	if v.char == nil {
		return ""
	}
	if v.none != nil && *v.none {
		return quoteNone
	}
	return charName(*v.char)
}

// charName returns c as the flags take it, "" for none.
func charName(c byte) string {
	switch {
	case c == 0:
		return ""
	case c == '\t':
		return "tab"
	case c < ' ' || c == 0x7f:
		return fmt.Sprintf(`\x%02x`, c)
	}
	return string(rune(c))
}

func (v charValue) Set(s string) error {
	if v.none != nil {
		if *v.none = s == quoteNone; *v.none {
			*v.char = 0
			return nil
		}
	}
	c, ok := charOf(s)
	switch {
	case !ok && len(s) > 1:
		return v.tooLong(s)
	case !ok:
		return fmt.Errorf(`want one ASCII character, or "tab"`)
	case slices.Contains([]byte{'\n', '\r', 0}, c):
		return fmt.Errorf("a line break or a zero byte cannot stand %s", v.where)
	}
	*v.char = c
	return nil
}

// charOf returns the byte that s names: itself, "tab", or \xHH.
func charOf(s string) (c byte, ok bool) {
	if s == "tab" || s == `\t` {
		return '\t', true
	}
	if hex, is := strings.CutPrefix(s, `\x`); is && len(hex) == 2 {
		n, err := strconv.ParseUint(hex, 16, 7)
		return byte(n), err == nil
	}
	return (s + "\x00")[0], len(s) == 1 && s[0] < 0x80
}

// tooLong says what to do about files in which more than one byte stands there.
func (v charValue) tooLong(s string) error {
	if v.flag != "--delimiter" {
		return fmt.Errorf("want one ASCII character: COPY takes one byte %s, and %q has %d; replace it in the files by one that no value has", v.where, s, len(s))
	}
	return fmt.Errorf(`want one ASCII character, or "tab": COPY takes one byte %s, and %q has %d; replace it by one that no value has: sed 's/%s/\x1f/g' FILE | shardload load --delimiter '\x1f' --table TABLE -`,
		v.where, s, len(s), sedPattern(s))
}

// sedPattern returns the pattern, in single quotes of a shell, by which sed finds s.
func sedPattern(s string) string {
	var b strings.Builder
	for _, c := range s {
		switch {
		case strings.ContainsRune(`\.*[]^$/`, c):
			b.WriteRune('\\')
			b.WriteRune(c)
		case c == '\'':
			b.WriteString(`'\''`)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// checkReading checks what the flags say of how files are read, as far as their format is known
// without a look at them.
func checkReading(cmd *cobra.Command, cfg loader.Config) error {
	name := cfg.Format
	switch name {
	case formatAuto:
		name = loader.FormatCSV
	case loader.FormatJSON:
		return checkNamed(cmd, "in json keys name the columns, null is NULL, and all is UTF-8")
	case loader.FormatParquet:
		return checkNamed(cmd, "columns of parquet have names and NULLs, and text is UTF-8")
	}
	format, err := pgcsv.Named(string(name))
	byManifest := cfg.Format == formatAuto && !cmd.Flags().Changed("table") && cmd.Flags().Lookup("sample") == nil
	switch {
	case cfg.Skip < 0:
		return usagef(cmd, "--skip is %d: want 0 or more lines", cfg.Skip)
	case cfg.NoQuotes && cfg.Escape != 0:
		return usagef(cmd, "--escape goes with a quote, and --quote is none")
	case format != pgcsv.CSV && (cfg.NoQuotes || cfg.Quote != 0 || cfg.Escape != 0 || len(cfg.ForceNull) > 0 || len(cfg.ForceNotNull) > 0):
		return usagef(cmd, "--quote, --escape, --force-null and --force-not-null are for csv: the text format has no quotes")
	case byManifest:
		return nil
	}
	if err = errors.Join(err, format.Dialect().With(cfg.Delimiter, cfg.Null).Quoted(cfg.Quote, cfg.Escape, cfg.NoQuotes).Check()); err != nil {
		return usagef(cmd, "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	return nil
}

// checkNamed refuses the flags that say nothing of formats with names of their own.
func checkNamed(cmd *cobra.Command, why string) error {
	for _, flag := range []string{"header", "skip", "null", "delimiter", "quote", "escape", "force-null", "force-not-null", "encoding"} {
		if cmd.Flags().Changed(flag) {
			return usagef(cmd, "--%s is for csv and text: %s", flag, why)
		}
	}
	return nil
}
