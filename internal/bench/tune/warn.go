package tune

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"shardload/internal/catalog"
	"shardload/internal/server"
	"shardload/internal/term"
	"shardload/loader"
)

// warn collects what would hurt a load with the settings found.
func (t *tuner) warn(ctx context.Context) error {
	server, err := catalog.Server(ctx, t.conn)
	if err != nil {
		return err
	}
	if t.advice.Sample < littleSample {
		t.advice.warnf("a sample of %s says little: it is stored in an instant", term.Bytes(t.advice.Sample))
	}
	t.warnConnections(server)
	t.warnShards()
	if err := t.warnTable(ctx); err != nil {
		return err
	}
	settings, _, err := t.meter.Settings(ctx)
	if err != nil {
		return err
	}
	t.warnSettings(settings)
	return nil
}

// littleSample is the size of a sample below which starting and ending a load are
// most of it.
const littleSample = 16 << 20

func (a *Advice) warnf(format string, args ...any) {
	a.Warnings = append(a.Warnings, fmt.Sprintf(format, args...))
}

// warnConnections is about connections to the coordinator, whose limits the
// workers usually share.
func (t *tuner) warnConnections(server catalog.ServerInfo) {
	a := &t.advice
	need := a.Best.Streams
	if a.Route == loader.RouteShard || a.Route == loader.RouteNode {
		need++ // of a node; the coordinator has the one that watches
	}
	if free := server.Free(); free < 2*need {
		a.warnf("the server has %s left (max_connections %d), and a load takes %d: others may be refused; raise max_connections, or use fewer streams",
			term.Plural(free, "connection"), server.MaxConnections, need)
	}
}

// warnShards is about how many places there are to write to at once.
func (t *tuner) warnShards() {
	a := &t.advice
	all := a.Best.Streams * a.Nodes
	if t.dist != nil && len(t.dist.Shards) > 0 && len(t.dist.Shards) < all {
		a.warnf("%s for %s: a shard takes one stream at a time, so some have nothing to do; distribute over more shards, two for each core of the workers at least",
			term.Plural(len(t.dist.Shards), "shard"), term.Plural(all, "stream"))
	}
	memory := t.cfg.Loader.Memory
	if memory == 0 {
		memory = loader.DefaultMemory
	}
	if share := memory / int64(max(a.Lanes, 1)); share < a.Best.Batch {
		a.warnf("--memory %s over %d lanes is %s each, less than a batch of %s: batches will be smaller; raise --memory",
			term.Bytes(memory), a.Lanes, term.Bytes(share), term.Bytes(a.Best.Batch))
	}
}

// warnTable is about what makes storing a row expensive.
func (t *tuner) warnTable(ctx context.Context) error {
	var indexes, references, triggers int
	err := server.Tx(ctx, t.conn, server.Read, func() error {
		return t.conn.QueryRow(ctx, `SELECT
		(SELECT count(*) FROM pg_catalog.pg_index WHERE indrelid = $1::oid AND NOT indisprimary),
		(SELECT count(*) FROM pg_catalog.pg_constraint WHERE conrelid = $1::oid AND contype = 'f'),
		(SELECT count(*) FROM pg_catalog.pg_trigger WHERE tgrelid = $1::oid AND NOT tgisinternal)`, t.table.OID).Scan(&indexes, &references, &triggers)
	})
	if err != nil {
		return err
	}
	if indexes > 0 {
		t.advice.warnf("indexes other than the primary key's: %d; a first load of many rows is faster if they are made afterwards", indexes)
	}
	if references > 0 || triggers > 0 {
		t.advice.warnf("foreign keys: %d, triggers: %d; the copy has none, so the load itself will be slower than this", references, triggers)
	}
	return nil
}

// checkpointsTooOften is the time between checkpoints below which they cost a load
// much: each makes every page that is touched next go whole into the log.
const checkpointsTooOften = 2 * time.Minute

// warnSettings is about the servers' settings.
func (t *tuner) warnSettings(settings map[string]string) {
	a := &t.advice
	if limit, ok := parseSize(settings["max_wal_size"]); ok && a.WALPerRow != nil && *a.WALPerRow > 0 {
		nodes := 1
		if a.Route != loader.RouteCoordinator || t.dist != nil {
			nodes = max(a.Nodes, 1)
		}
		// A checkpoint begins when about half of it is used.
		pace := time.Duration(float64(limit) / 2 / (a.Best.Median * *a.WALPerRow / float64(nodes)) * float64(time.Second))
		if pace < checkpointsTooOften {
			a.warnf("at this pace max_wal_size (%s) makes a checkpoint every %s; raise it, to %s say, for the load", settings["max_wal_size"], pace.Round(time.Second), "16GB")
		}
	}
	if a.Route == loader.RouteCoordinator && t.dist != nil {
		prepared, _ := strconv.Atoi(settings["max_prepared_transactions"])
		connections, _ := strconv.Atoi(settings["max_connections"])
		if prepared < connections {
			a.warnf("max_prepared_transactions is %d, below max_connections (%d): rows that go through the coordinator commit in two phases on the workers, and may be refused", prepared, connections)
		}
	}
	for _, s := range []struct{ name, value, why string }{
		{"fsync", "off", "a crash of a server may destroy its data; what is measured here is not what a safe server does"},
		{"full_page_writes", "off", "a crash of a server may leave torn pages"},
		{"synchronous_commit", "off", "a crash may lose the last batches that were reported as stored"},
		{"synchronous_commit", "remote_apply", "each COMMIT waits until the standbys show it; 'on' for the load is faster and loses nothing"},
		{"log_statement", "all", "every COPY is written to the server's log"},
	} {
		if settings[s.name] == s.value {
			a.warnf("%s is %s: %s", s.name, s.value, s.why)
		}
	}
	if settings["synchronous_standby_names"] != "" {
		a.warnf("synchronous_standby_names is set: each COMMIT waits for standbys; larger batches have fewer of them")
	}
}

// parseSize understands what current_setting says of a number of bytes: 4GB, 512MB.
func parseSize(text string) (bytes int64, ok bool) {
	for unit, factor := range map[string]int64{"TB": 1 << 40, "GB": 1 << 30, "MB": 1 << 20, "kB": 1 << 10} {
		if number, found := strings.CutSuffix(text, unit); found {
			n, err := strconv.ParseInt(number, 10, 64)
			return n * factor, err == nil
		}
	}
	return 0, false
}
