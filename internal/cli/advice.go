package cli

import (
	"errors"
	"fmt"
	"strings"

	"shardload/internal/fault"
	"shardload/internal/ledger"
	"shardload/internal/term"
	"shardload/loader"
)

// What to type next. The library says what is wrong; whatever people are told to do
// about it is said here, and is safe to do as it is typed.

// inFlagsPairs has in pairs what the library says in words of its own, and the same in
// flags and verbs. What stands for more comes before what is a part of it.
var inFlagsPairs = []string{
	"Config.MaxErrors keeps", "--max-errors N keeps",
	"Config.OnConflict skip keeps the row that is there, update the new one", "--on-conflict skip keeps the row that is there, --on-conflict update the new one",
	"with Config.Header no", "with --header no",
	"from a file: Config.Format parquet", "from a file: --format parquet",
	"in Config.ConflictKey", "with --conflict-key",
	"in Config.Encoding", "with --encoding",
	"load the same input again with Config.DeferIndexes, which", "run the same command again with --defer-indexes, which",
	"without Config.DeferIndexes", "without --defer-indexes",
	"Config.Compression", "--compression",
	"Config.ConflictKey", "--conflict-key",
	"Config.MaxErrors", "--max-errors",
	"Config.MaxRecord", "--max-record",
	"Config.Memory", "--memory",
	"Config.NodeMap", "--node-map",
	"Config.NoResume", "--no-resume",
	"Config.OnConflict", "--on-conflict",
	"Config.RejectsDir", "--rejects",
	"Config.RetryFor", "--retry-for",
	"Config.Rewritten", "--rewritten",
	"Config.Route", "--route",
	"Config.Select", "--select",
	"Config.Streams", "--streams",
	"Config.Where", "--where",
	"as another job, which", "under another --job, which",
	"name another job", "name another --job",
	"a deep verification tells", "shardload verify --deep tells",
	"check what it holds", "check what it holds with shardload verify",
	"load it anew into the empty table", "load it anew with --replace",
	"empty the table and load it anew", "empty the table of all its rows and load it anew with --replace",
	"empty the table and load the input anew", "load the input again with --replace, which empties the table of all its rows",
	"load them anew into the empty table", "load them with --replace, which empties the table of all its rows",
	"if a deep verification shows none of them there", "if shardload verify --deep shows none of them there",
	"forget job ", "drop the job with shardload forget ",
	"load it alone under a job name of its own", "load it alone with --job NAME",
	"all given the same job name", "all given the same --job NAME",
	"give the load another job name", "give the load another --job",
	"wait for it, or end it", "wait for it (shardload status shows it), or end it",
	"name its list", "name its list with --rejects",
	"for a table of your own name it", "for a table of your own use --table",
	"remove one or name the files", "remove one or name the files with --table",
	"decompress it: gzip -dc", "decompress it: gzip -dc FILE | shardload load --table TABLE -",
	"decompress it for so wide a window: zstd -dc", "decompress it: zstd -dc --long=31 FILE | shardload load --table TABLE -",
	"decompress it: zstd -dc", "decompress it: zstd -dc FILE | shardload load --table TABLE -",
	"decompress it: bzip2 -dc", "decompress it: bzip2 -dc FILE | shardload load --table TABLE -",
	"decompress it: xz -dc", "decompress it: xz -dc FILE | shardload load --table TABLE -",
	"decompress it: lz4 -dc", "decompress it: lz4 -dc FILE | shardload load --table TABLE -",
	"decompress it: lzip -dc", "decompress it: lzip -dc FILE | shardload load --table TABLE -",
	"read them as one: cat", "read them as one: cat FILE… | shardload schema print --table TABLE -",
	"name the file in it: tar xOf", "name the file in it: tar xOf ARCHIVE FILE | shardload load --table TABLE -",
	"name the file in it: unzip -p", "name the file in it: unzip -p ARCHIVE FILE | shardload load --table TABLE -",
	"name the file in it: 7z e -so", "name the file in it: 7z e -so ARCHIVE FILE | shardload load --table TABLE -",
	"name the file in it: unrar p -inul", "name the file in it: unrar p -inul ARCHIVE FILE | shardload load --table TABLE -",
}

// inFlags replaces them. It is for advice alone: a value may hold the same words.
var inFlags = strings.NewReplacer(inFlagsPairs...)

// typed returns text, which err made, with what is advised in it as it is typed.
func typed(text string, err error) string {
	for _, said := range fault.Advices(err) {
		said = term.Line(said)
		text = strings.Replace(text, said, inFlags.Replace(said), 1)
	}
	return text
}

// advice returns what to do about err that it does not say itself, "" for nothing.
func advice(err error) string {
	if row, ok := errors.AsType[*loader.RowError](err); ok && row.Guessed {
		return "; if it is a header name the columns in it as the table does (--header match says where they differ), or say with --header yes " +
			`and --select "ITS_NAME AS COLUMN, …" which is which, or leave it out with ` +
			fmt.Sprintf("--skip %d --header no", row.Line) + "; if it is a record say --header no"
	}
	if _, ok := errors.AsType[*ledger.DeniedError](err); ok {
		return "; --no-resume does without: a load that stops must then begin anew"
	}
	if changed := changedAdvice(err); changed != "" {
		return "; " + changed
	}
	return ""
}

// stored says in a sentence what a load that failed has left in the tables, and what
// becomes of it.
func (r loadReport) stored(failure error) string {
	var parts []string
	var rows, doubt int64
	resumable := false
	for _, t := range r.Tables {
		rows += t.Before + t.Rows
		doubt += t.InDoubt
		resumable = resumable || t.Resumable
		parts = append(parts, fmt.Sprintf("%s %s", t.Table, plural(t.Before+t.Rows, "row")))
	}
	text := "nothing"
	if resumable || rows > 0 {
		text = strings.Join(parts, ", ") + r.next(failure, resumable)
	}
	if r.Emptied {
		text += " (--replace had emptied the tables)"
	}
	if doubt > 0 && !resumable {
		text += fmt.Sprintf("; %s more may be stored or not: the server did not answer their COMMIT", plural(doubt, "row"))
	}
	return text
}

// next says how to go on after a failure. An error that running the same command again
// would meet once more has its own advice.
func (r loadReport) next(failure error, resumable bool) string {
	_, job := errors.AsType[*loader.JobError](failure)
	_, changed := errors.AsType[*loader.ChangedError](failure)
	_, input := errors.AsType[*loader.ChangedInputError](failure)
	_, many := errors.AsType[*loader.TooManyError](failure)
	row, bad := errors.AsType[*loader.RowError](failure)
	switch {
	case r.passing || job || changed || input || errors.Is(failure, ledger.ErrMarksGone):
		return ""
	case r.forgets || errors.Is(failure, ledger.ErrSetGone): // a forgotten set's rows are known to nobody
		return "; they stay there, and the same command would store them once more: --replace empties the tables first, of all their rows"
	case many:
		return "; the same command with a higher --max-errors goes on from there"
	case bad && row.Guessed:
		return ""
	case bad && row.Keepable && resumable: // shards may be ahead of the record: a mended file is another one
		return "; the same command with --max-errors N goes on from there, and keeps bad records aside, to be mended and loaded; do not mend the file itself"
	case bad && row.Keepable:
		return "; the same command with --max-errors goes on from there"
	case bad:
		return "; once the record can be stored the same command goes on from there"
	case resumable:
		return "; run the same command again to go on from there"
	}
	return "; the same command again goes on with the rest"
}
