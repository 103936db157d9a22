package loader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/pgcopy"
)

// commitGrace is how long an interrupted load waits for the answer to a COMMIT
// that is under way: long enough for most, short enough for a person.
const commitGrace = 1500 * time.Millisecond

// A stream stores batches on one connection.
type stream struct {
	conn *pgconn.PgConn
	lay  *layout
	name string // of the input
	load *load
}

// begin opens a batch's transaction. What it sets could break a long load or read
// rows differently; SET LOCAL also holds behind a connection pooler. The client
// encoding is the server's, whatever the input's: a Citus coordinator converts
// what it sends to the workers into the client's encoding, and they refuse it.
// CSV rows name their encoding in the COPY, and binary rows hold text only where
// the encodings agree on it.
const begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; " +
	"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; " +
	"SET LOCAL client_encoding = "

// run stores batches until there are no more.
func (s *stream) run(ctx context.Context) error {
	for {
		b, err := s.load.lanes.next(ctx)
		if err != nil || b == nil {
			return err
		}
		started := time.Now()
		err = s.store(ctx, b)
		s.load.copying.Add(int64(time.Since(started)))
		if err != nil {
			return err
		}
		s.load.rows.Add(b.rows)
		s.load.batches.Add(1)
		s.load.lanes.done(b)
	}
}

// store stores b in one transaction.
func (s *stream) store(ctx context.Context, b *batch) error {
	if err := exec(ctx, s.conn, begin+quoteLiteral(s.load.encoding)); err != nil {
		return s.fail(ctx, fmt.Errorf("begin: %w", err))
	}
	for i := range b.parts {
		if err := s.copyPart(ctx, &b.parts[i]); err != nil {
			return err
		}
	}
	return s.commit(ctx, b)
}

// copyPart stores p with one COPY statement.
func (s *stream) copyPart(ctx context.Context, p *part) error {
	sql := s.lay.csvSQL
	if p.format == formatBinary {
		sql = s.lay.binarySQL
	}
	tag, err := s.conn.CopyFrom(ctx, newPartReader(p), sql)
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok && ctx.Err() == nil {
		return locate(pgErr, s.name, s.lay, p)
	}
	if err != nil {
		return s.fail(ctx, err)
	}
	if n := tag.RowsAffected(); n != p.rows {
		return fmt.Errorf("%s:%d-%d: %d rows sent, %d stored; nothing of them is kept", s.name, p.firstLine(), p.lastLine, p.rows, n)
	}
	return nil
}

// commit commits b. A load that is interrupted waits a moment for the answer, so
// that it can say what was stored.
func (s *stream) commit(ctx context.Context, b *batch) error {
	commitCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(commitGrace, cancel) })()
	result, err := s.conn.Exec(commitCtx, "COMMIT").ReadAll()
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return batchError(pgErr, s.name, b)
	}
	if err != nil {
		s.load.inDoubt.Add(b.rows)
		return s.fail(ctx, fmt.Errorf("the answer to a COMMIT of %d rows was lost, they may be stored or not: %w", b.rows, err))
	}
	if len(result) != 1 || result[0].CommandTag.String() != "COMMIT" {
		return fmt.Errorf("the server rolled a batch of %d rows back without an error", b.rows)
	}
	return nil
}

// fail returns err, or why ctx ended if that is the reason.
func (s *stream) fail(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return fmt.Errorf("load %s: %w", s.name, err)
}

// A partReader reads a part as COPY wants it. It never blocks.
type partReader struct {
	pieces [][]byte
	at     int
}

var (
	binaryHeader  = pgcopy.AppendHeader(nil)
	binaryTrailer = pgcopy.AppendTrailer(nil)
)

func newPartReader(p *part) *partReader {
	if p.format == formatCSV {
		return &partReader{pieces: p.data.pages}
	}
	pieces := make([][]byte, 0, len(p.data.pages)+2)
	pieces = append(pieces, binaryHeader)
	pieces = append(pieces, p.data.pages...)
	return &partReader{pieces: append(pieces, binaryTrailer)}
}

func (r *partReader) Read(dst []byte) (n int, err error) {
	for n < len(dst) && len(r.pieces) > 0 {
		k := copy(dst[n:], r.pieces[0][r.at:])
		n += k
		if r.at += k; r.at == len(r.pieces[0]) {
			r.pieces, r.at = r.pieces[1:], 0
		}
	}
	if n == 0 && len(dst) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// bytes returns the buffer's content, for reading lines and errors.
func (b *buffer) bytes() []byte { return bytes.Join(b.pages, nil) }
