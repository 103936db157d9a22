package tune

import (
	"bufio"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/bench/left"
	"shardload/internal/citus"
	"shardload/internal/fault"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/pgjson"
	"shardload/internal/server"
	"shardload/loader"
)

// A sampleFile is the beginning of an input.
type sampleFile struct {
	path  string
	bytes int64
	// whole is the length of the whole input, 0 where it is compressed.
	whole int64
}

// takeSample copies whole records from the beginning of a file, header included,
// until there are that many bytes.
func takeSample(ctx context.Context, file, dir string, cfg loader.Config, limit int64) (s sampleFile, err error) {
	if cfg.Format == loader.FormatParquet {
		return s, fault.Advise(fmt.Errorf("%s: a Parquet file cannot be cut into a sample", file), "try with some of its rows as CSV")
	}
	src, err := input.Open(file, input.Compression(cfg.Compression))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, src.Close()) }()
	s.path = filepath.Join(dir, "sample.csv")
	chunker, err := chunkerOf(src, cfg)
	if err != nil {
		return s, err
	}
	done := false
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return s, err
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fill := func() error {
		for buf := []byte(nil); s.bytes < limit; {
			var err error
			if buf, err = src.Cut(ctx, chunker, buf); err != nil {
				done = errors.Is(err, io.EOF)
				if done {
					return nil
				}
				return fmt.Errorf("%s: %w", file, err)
			}
			if s.bytes += int64(len(buf)); s.bytes >= limit {
				endArray(chunker, buf)
			}
			if _, err := w.Write(buf); err != nil {
				return err
			}
		}
		return nil
	}
	err = errors.Join(fill(), w.Flush(), f.Close())
	if err != nil || s.bytes == 0 {
		return s, errors.Join(err, emptySample(file, err))
	}
	switch {
	case done:
		s.whole = s.bytes
	case src.BytesRead() >= s.bytes: // not compressed
		s.whole = src.Size
	}
	return s, nil
}

// chunkerOf returns what cuts src.
func chunkerOf(src *input.Source, cfg loader.Config) (input.Chunker, error) {
	if cfg.Format == loader.FormatJSON {
		return pgjson.NewChunker(src, loader.DefaultMaxRecord), nil
	}
	format, err := pgcsv.Named(string(cmp.Or(cfg.Format, loader.FormatCSV)))
	if err != nil {
		return nil, err
	}
	chunker := pgcsv.NewChunker(src, loader.DefaultMaxRecord)
	chunker.SetDialect(format.Dialect().With(cfg.Delimiter, cfg.Null).Quoted(cfg.Quote, cfg.Escape, cfg.NoQuotes))
	chunker.SetSkip(cfg.Skip)
	return chunker, nil
}

// endArray ends an array of JSON with its chunk, which ends with a comma or the array already.
func endArray(of input.Chunker, chunk []byte) {
	c, ok := of.(*pgjson.Chunker)
	if last := len(chunk) - 1; ok && c.Form() == pgjson.Array && chunk[last] == ',' {
		chunk[last] = ']'
	}
}

func emptySample(file string, err error) error {
	if err != nil {
		return nil
	}
	return fmt.Errorf("%s: there are no rows in it", file)
}

// makeCopy makes an empty table like the one to be loaded, distributed like it, but
// in a colocation group of its own. Foreign keys and triggers are not copied.
func (t *tuner) makeCopy(ctx context.Context) error {
	id := strings.ToLower(rand.Text()[:8])
	name := cut(t.table.Name, 40) + "_tune_" + id
	quoted := pgx.Identifier{t.table.Schema, name}.Sanitize()
	kind := "TABLE"
	if t.table.Persistence == 'u' {
		kind = "UNLOGGED TABLE"
	}
	var method string
	err := server.Value(ctx, t.conn, &method, "SELECT coalesce((SELECT amname::text FROM pg_catalog.pg_am a JOIN pg_catalog.pg_class c ON c.relam = a.oid WHERE c.oid = $1::oid), '')", t.table.OID)
	if err != nil {
		return err
	}
	using := ""
	if method != "" {
		using = " USING " + pgx.Identifier{method}.Sanitize()
	}
	t.copy = quoted
	err = left.MakeMarked(ctx, t.conn, left.Tune, id, fmt.Sprintf("CREATE %s %s (LIKE %s INCLUDING ALL)%s", kind, quoted, t.table.SQL(), using), "TABLE "+quoted)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && pgErr.Code == fault.InsufficientPrivilege {
		t.copy = ""
		return fmt.Errorf("%s: to tune, this role must be allowed to make a table beside %s", pgErr.Message, t.table)
	}
	if err != nil {
		t.copy = ""
		return fmt.Errorf("make a copy of %s: %w", t.table, err)
	}
	if err := t.ownSequences(ctx, name); err != nil {
		return err
	}
	return t.distributeCopy(ctx)
}

// ownSequences gives the copy's serial columns sequences of its own: numbers that
// a trial takes must not be missing from the table's.
func (t *tuner) ownSequences(ctx context.Context, name string) error {
	for _, c := range t.table.Columns {
		if !c.UsesSequence || c.Identity != 0 {
			continue
		}
		column := pgx.Identifier{c.Name}.Sanitize()
		sequence := pgx.Identifier{t.table.Schema, fmt.Sprintf("%s_%d", name, c.Num)}.Sanitize()
		err := server.Run(ctx, t.conn, fmt.Sprintf("CREATE SEQUENCE %s OWNED BY %s.%s", sequence, t.copy, column),
			fmt.Sprintf("ALTER TABLE %s ALTER COLUMN %s SET DEFAULT nextval(%s::regclass)", t.copy, column, server.Literal(sequence)))
		if err != nil {
			return fmt.Errorf("a sequence for the copy's column %q: %w", c.Name, err)
		}
	}
	return nil
}

// distributeCopy distributes the copy as its original is.
func (t *tuner) distributeCopy(ctx context.Context) error {
	if t.dist == nil {
		return nil
	}
	var err error
	switch t.dist.Kind {
	case citus.Hash:
		err = server.Run(ctx, t.conn, fmt.Sprintf("SELECT create_distributed_table(%s, %s, colocate_with => 'none', shard_count => %d)", server.Literal(t.copy), server.Literal(t.dist.Column), len(t.dist.Shards)))
	case citus.Single:
		err = server.Run(ctx, t.conn, fmt.Sprintf("SELECT create_distributed_table(%s, NULL, colocate_with => 'none')", server.Literal(t.copy)))
	case citus.Reference:
		err = server.Run(ctx, t.conn, fmt.Sprintf("SELECT create_reference_table(%s)", server.Literal(t.copy)))
	}
	if err != nil {
		return fmt.Errorf("distribute the copy of %s: %w", t.table, err)
	}
	return nil
}

// dropTimeout bounds the clean-up, which goes on after an interrupt.
const dropTimeout = 30 * time.Second

// dropCopy drops the copy. It does so after ctx has ended, too.
func (t *tuner) dropCopy(ctx context.Context) error {
	if t.copy == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTimeout)
	defer cancel()
	conn := t.conn
	var err error
	if conn.IsClosed() {
		if conn, err = server.Open(ctx, t.cfg.Loader.Conn); err == nil {
			defer func() { _ = conn.Close(ctx) }()
		}
	}
	if err == nil {
		err = server.Run(ctx, conn, "DROP TABLE "+t.copy)
	}
	if err != nil {
		return fmt.Errorf("the copy could not be dropped; DROP TABLE %s does it: %w", t.copy, err)
	}
	return nil
}

// cut returns the first n bytes of s at most, and no half characters.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
