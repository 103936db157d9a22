package bench

import (
	"bytes"
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"shardload/internal/bench/clock"
	"shardload/loader"
)

// copyBytes is the size of a batch of copyBatches.
const copyBytes = 4 << 20

// copyBatches sends the file in batches over several connections to the server
// that Conn names. set is a statement for each connection, "" for none.
func (r *rivals) copyBatches(ctx context.Context, p Point, set string) (outcome, error) {
	var seen clock.Batches
	out, err := r.around(ctx, p, func(*pgx.Conn) error {
		g, ctx := errgroup.WithContext(ctx)
		batches := make(chan []byte)
		g.Go(func() error {
			defer close(batches)
			return r.cutBatches(ctx, p, batches)
		})
		for range p.AllStreams {
			g.Go(func() error { return r.copyStream(ctx, p, set, batches, &seen) })
		}
		return g.Wait()
	})
	out.batches = seen.List()
	return out, err
}

// cutBatches cuts the file into batches.
func (r *rivals) cutBatches(ctx context.Context, p Point, batches chan<- []byte) error {
	var batch []byte
	flush := func() error {
		if len(batch) == 0 {
			return nil
		}
		select {
		case batches <- batch:
			batch = make([]byte, 0, copyBytes+copyBytes/4)
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	err := r.file(p).chunks(func(chunk []byte) error {
		batch = append(batch, chunk...)
		if len(batch) < copyBytes {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}

// copyStream stores batches on one connection.
func (r *rivals) copyStream(ctx context.Context, p Point, set string, batches <-chan []byte, seen *clock.Batches) error {
	conn, err := r.connect(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if set != "" {
		if _, err := conn.Exec(ctx, set); err != nil {
			return err
		}
	}
	sql := "COPY " + r.table(p) + " FROM STDIN WITH (FORMAT csv)"
	for batch := range batches {
		started := time.Now()
		tag, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(batch), sql)
		if err != nil {
			return err
		}
		seen.Add(loader.StoredBatch{Node: "coordinator", Rows: tag.RowsAffected(), Bytes: int64(len(batch)), Started: started, Elapsed: time.Since(started)})
	}
	return nil
}
