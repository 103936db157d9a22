package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"shardload/loader"
	"shardload/schema"
)

// rivalArms returns the other ways to load the input in, with that many workers,
// and which of them cannot run.
func (b *Bench) rivalArms(in Point, workers int) (arms []*Arm, skips []Skip) {
	add := func(name, settings string, workers int, run func(context.Context, Point) (outcome, error)) {
		p := in
		p.Streams = workers
		arms = append(arms, &Arm{Name: name, Kind: KindRival, Point: p, Settings: settings, stores: true,
			run: func(ctx context.Context) (outcome, error) { return run(ctx, p) }})
	}
	if _, err := exec.LookPath("psql"); err != nil {
		skips = append(skips, Skip{"psql", "psql is not on PATH"}, Skip{"psql-split", "psql is not on PATH"})
	} else {
		add("psql", `one psql: \copy from the file`, 1, b.psql)
		add("psql-split", fmt.Sprintf(`the file split into %d beforehand, a psql \copy for each, at once`, workers), workers, b.psqlSplit)
	}
	add("copy-batches", fmt.Sprintf("the obvious design: %d connections to the coordinator, a COPY of about 4 MiB of CSV at a time, no session settings", workers),
		workers, func(ctx context.Context, p Point) (outcome, error) { return b.copyBatches(ctx, p, "") })
	if b.citus {
		add("copy-batches:sequential", fmt.Sprintf("copy-batches with %d connections at its best known setting: citus.multi_shard_modify_mode = 'sequential'", workers),
			workers, func(ctx context.Context, p Point) (outcome, error) {
				return b.copyBatches(ctx, p, "SET citus.multi_shard_modify_mode = 'sequential'")
			})
	}
	add("server-file", "COPY … FROM 'file', which the server reads itself", 1, b.serverFile)
	for _, r := range append(knownRivals(), b.cfg.Rivals...) {
		if why := r.missing(); why != "" {
			skips = append(skips, Skip{r.Name, why})
			continue
		}
		add(r.Name, r.Command, workers, func(ctx context.Context, p Point) (outcome, error) {
			return b.command(ctx, r.expand(b, p))
		})
	}
	return arms, skips
}

// knownRivals are programs that people use, at their defaults and at the best
// settings known for this kind of load.
func knownRivals() []Rival {
	const parallelCopy = "timescaledb-parallel-copy --connection {dsn} --schema {schema} --table {name} --file {file} --workers {workers} --skip-header"
	const pgloader = "pgloader --quiet --type csv --field {columns} --with \"fields terminated by ','\" --with 'fields escaped by double-quote' --with 'skip header = 1'" +
		" --with 'workers = {workers}' --with 'concurrency = {workers}'"
	const pgloaderInto = " {file} {url}'?tablename={table}'"
	return []Rival{
		{"timescaledb-parallel-copy", parallelCopy},
		{"timescaledb-parallel-copy:best", parallelCopy + " --batch-size 10000000 --batch-byte-size 134217728"},
		{"pgloader", pgloader + pgloaderInto},
		{"pgloader:best", pgloader + " --with 'batch rows = 250000' --with 'batch size = 128MB' --with 'prefetch rows = 250000'" + pgloaderInto},
	}
}

// missing says why the rival's program cannot run, "" if it can.
func (r Rival) missing() string {
	program, _, _ := strings.Cut(strings.TrimSpace(r.Command), " ")
	if _, err := exec.LookPath(program); err != nil {
		return program + " is not on PATH"
	}
	return ""
}

// expand returns the command with everything filled in, each as a word of sh.
func (r Rival) expand(b *Bench, p Point) string {
	return strings.NewReplacer(
		"{dsn}", shellQuote(b.dsn), "{url}", shellQuote(plainURL(b.cfg.Conn)), "{file}", shellQuote(b.file(p).path),
		"{columns}", strings.Join(schema.Lookup("ads").ColumnNames(), ","), "{table}", b.place.table(p.Shards),
		"{schema}", b.place.schema, "{name}", b.place.name(p.Shards), "{workers}", strconv.Itoa(p.Streams),
	).Replace(r.Command)
}

// shellQuote writes s as one word of sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// psql loads the file with one \copy.
func (b *Bench) psql(ctx context.Context, p Point) (outcome, error) {
	return b.timed(func() error { return b.psqlCopy(ctx, b.file(p).path, p, true) })
}

// psqlSplit loads the pieces of the file with a psql each.
func (b *Bench) psqlSplit(ctx context.Context, p Point) (outcome, error) {
	pieces, err := b.file(p).split(p.Streams)
	if err != nil {
		return outcome{}, err
	}
	return b.timed(func() error {
		g, ctx := errgroup.WithContext(ctx)
		for _, piece := range pieces {
			g.Go(func() error { return b.psqlCopy(ctx, piece, p, false) })
		}
		return g.Wait()
	})
}

func (b *Bench) psqlCopy(ctx context.Context, path string, p Point, header bool) error {
	script := fmt.Sprintf(`\copy %s from '%s' with (format csv, header %t)`, b.place.table(p.Shards), strings.ReplaceAll(path, "'", "''"), header)
	return b.program(ctx, "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", b.dsn, "-c", script)
}

// serverFile has the server read the file.
func (b *Bench) serverFile(ctx context.Context, p Point) (outcome, error) {
	sql := fmt.Sprintf("COPY %s FROM '%s' WITH (FORMAT csv, HEADER)", b.place.table(p.Shards), strings.ReplaceAll(b.file(p).path, "'", "''"))
	conn, err := pgx.ConnectConfig(ctx, b.cfg.Conn)
	if err != nil {
		return outcome{}, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	return b.timed(func() error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

// copyBytes is the size of a batch of copyBatches.
const copyBytes = 4 << 20

// copyBatches sends the file in batches over several connections to the server
// that Conn names. set is a statement for each connection, "" for none.
func (b *Bench) copyBatches(ctx context.Context, p Point, set string) (outcome, error) {
	var seen observer
	out, err := b.timed(func() error {
		g, ctx := errgroup.WithContext(ctx)
		batches := make(chan []byte)
		g.Go(func() error {
			defer close(batches)
			return b.cutBatches(ctx, p, batches)
		})
		for range p.Streams {
			g.Go(func() error { return b.copyStream(ctx, p, set, batches, &seen) })
		}
		return g.Wait()
	})
	out.batches = seen.list
	return out, err
}

// cutBatches cuts the file into batches.
func (b *Bench) cutBatches(ctx context.Context, p Point, batches chan<- []byte) error {
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
	err := b.file(p).chunks(func(chunk []byte) error {
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
func (b *Bench) copyStream(ctx context.Context, p Point, set string, batches <-chan []byte, seen *observer) error {
	conn, err := pgx.ConnectConfig(ctx, b.cfg.Conn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if set != "" {
		if _, err := conn.Exec(ctx, set); err != nil {
			return err
		}
	}
	sql := "COPY " + b.place.table(p.Shards) + " FROM STDIN WITH (FORMAT csv)"
	for batch := range batches {
		started := time.Now()
		tag, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(batch), sql)
		if err != nil {
			return err
		}
		seen.add(loader.StoredBatch{Node: "coordinator", Rows: tag.RowsAffected(), Bytes: int64(len(batch)), Started: started, Elapsed: time.Since(started)})
	}
	return nil
}

// timed times do.
func (b *Bench) timed(do func() error) (outcome, error) {
	started := time.Now()
	err := do()
	return outcome{elapsed: time.Since(started)}, err
}

// command runs a line of sh.
func (b *Bench) command(ctx context.Context, line string) (outcome, error) {
	return b.timed(func() error { return b.program(ctx, "sh", "-c", line) })
}

// program runs a program to its end. It is interrupted when ctx ends, and with it
// whatever it has started; what does not end then is killed.
func (b *Bench) program(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+b.cfg.Conn.Password)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func(s syscall.Signal) error { return syscall.Kill(-cmd.Process.Pid, s) }
	cmd.Cancel = func() error {
		time.AfterFunc(programGrace, func() { _ = group(syscall.SIGKILL) })
		return group(syscall.SIGINT)
	}
	cmd.WaitDelay = 2 * programGrace
	var said tail
	cmd.Stdout, cmd.Stderr = io.Discard, &said
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return errors.New(strings.TrimSpace(fmt.Sprintf("%s: %v: %s", name, err, said.text())))
	}
	return nil
}

// programGrace is how long an interrupted program may take to end.
const programGrace = 2 * time.Second

// A tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const keep = 500
	t.data = append(t.data, p...)
	t.data = t.data[max(len(t.data)-keep, 0):]
	return len(p), nil
}

func (t *tail) text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(string(t.data)), " ")
}
