package bench

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"shardload/internal/bench/clock"
	"shardload/internal/bench/shape"
	"shardload/internal/server"
)

// rivals makes the arms of whatever loads rows without the loader.
type rivals struct {
	*site
	dsn string   // without a password
	env []string // with what was left out of it, for other programs
}

func newRivals(s *site) (rivals, error) {
	env, err := secrets(s.cfg.Dir, s.cfg)
	return rivals{site: s, dsn: withoutPassword(s.cfg.DSN), env: env}, err
}

// arms returns the other ways to load the input in, with that many workers,
// and which of them cannot run.
func (r *rivals) arms(in Point, workers int) (arms []*Arm, skips []Skip) {
	add := func(name, settings string, workers int, run func(context.Context, Point) (outcome, error)) {
		p := in
		p.AllStreams = workers
		arms = append(arms, &Arm{
			Name: name, Kind: KindRival, Point: p, Settings: settings, stores: true,
			run: func(ctx context.Context) (outcome, error) { return run(ctx, p) },
		})
	}
	if _, err := exec.LookPath("psql"); err != nil {
		skips = append(skips, Skip{psqlName, "psql is not on PATH"}, Skip{"psql-split", "psql is not on PATH"})
	} else {
		add(psqlName, `one psql: \copy from the file`, 1, r.psql)
		add("psql-split", fmt.Sprintf(`the file split into %d beforehand, a psql \copy for each, at once`, workers), workers, r.psqlSplit)
	}
	add("copy-batches", fmt.Sprintf("the obvious design: %d connections to the coordinator, a COPY of about 4 MiB of CSV at a time, no session settings", workers),
		workers, func(ctx context.Context, p Point) (outcome, error) { return r.copyBatches(ctx, p, "") })
	if r.citus {
		add("copy-batches:sequential", fmt.Sprintf("copy-batches with %d connections at its best known setting: citus.multi_shard_modify_mode = 'sequential'", workers),
			workers, func(ctx context.Context, p Point) (outcome, error) {
				return r.copyBatches(ctx, p, "SET citus.multi_shard_modify_mode = 'sequential'")
			})
	}
	add("server-file", "COPY … FROM 'file', which the server reads itself", 1, r.serverFile)
	for _, rival := range append(knownRivals(), r.cfg.Rivals...) {
		if why := rival.missing(); why != "" {
			skips = append(skips, Skip{rival.Name, why})
			continue
		}
		add(rival.Name, rival.Command, workers, func(ctx context.Context, p Point) (outcome, error) {
			return r.around(ctx, p, func(*pgx.Conn) error { return r.program(ctx, nil, "sh", "-c", r.expand(rival.Command, p)) })
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

// expand returns a rival's command with everything filled in, each as a word of sh.
func (r *rivals) expand(command string, p Point) string {
	return strings.NewReplacer(
		"{dsn}", shellQuote(r.dsn), "{url}", shellQuote(plainURL(r.cfg.Conn)), "{file}", shellQuote(r.file(p).path),
		"{columns}", strings.Join(shape.Lookup(p.Shape).Table.ColumnNames(), ","), "{table}", r.table(p),
		"{schema}", r.place.schema, "{name}", r.place.name(p), "{workers}", strconv.Itoa(p.AllStreams),
	).Replace(command)
}

// shellQuote writes s as one word of sh.
func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// psqlSplit loads the pieces of the file with a psql each.
func (r *rivals) psqlSplit(ctx context.Context, p Point) (outcome, error) {
	pieces, err := r.file(p).split(p.AllStreams)
	if err != nil {
		return outcome{}, err
	}
	return r.around(ctx, p, func(*pgx.Conn) error {
		g, ctx := errgroup.WithContext(ctx)
		for _, piece := range pieces {
			g.Go(func() error { return r.program(ctx, nil, "psql", r.psqlArgs(r.copySQL(piece, p, false))...) })
		}
		return g.Wait()
	})
}

// serverFile has the server read the file.
func (r *rivals) serverFile(ctx context.Context, p Point) (outcome, error) {
	sql := fmt.Sprintf("COPY %s FROM %s WITH (FORMAT csv, HEADER)", r.table(p), server.Literal(r.file(p).path))
	return r.around(ctx, p, func(conn *pgx.Conn) error {
		_, err := conn.Exec(ctx, sql)
		return err
	})
}

// around times what copies the point's rows, with the duties that it does not do itself.
func (r *rivals) around(ctx context.Context, p Point, do func(*pgx.Conn) error) (out outcome, err error) {
	c := clock.Start()
	conn, err := r.connect(ctx)
	if err != nil {
		return out, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	c.Lap(&c.Connect)
	if r.cfg.Replace {
		if err := server.Run(ctx, conn, "TRUNCATE "+r.table(p)); err != nil {
			return out, err
		}
		c.Lap(&c.Empty)
	}
	if err := do(conn); err != nil {
		return out, err
	}
	c.Lap(&c.Copy)
	if !r.cfg.NoAnalyze {
		if err := server.Run(ctx, conn, "ANALYZE "+r.table(p)); err != nil {
			return out, err
		}
		c.Lap(&c.Statistics)
	}
	err = conn.Close(ctx)
	c.Lap(&c.Finish)
	return outcome{Times: c.Times}, err
}
