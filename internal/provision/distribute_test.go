package provision_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/pgtest"
	"shardload/internal/provision"
	"shardload/internal/server"
)

func TestDistribute(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	create(t, conn)
	wantActions(t, distribute(t, conn),
		"distributed by id over 8 shards on 2 nodes",
		"distributed by company_id over 8 shards on 2 nodes",
		"distributed by company_id over 8 shards on 2 nodes")
	wantActions(t, distribute(t, conn),
		"is already distributed by id over 8 shards on 2 nodes",
		"is already distributed by company_id over 8 shards on 2 nodes",
		"is already distributed by company_id over 8 shards on 2 nodes")
	wantColocated(t, conn)
}

// wantColocated fails t if the three tables are not one colocation group.
func wantColocated(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	var tables, groups int
	err := conn.QueryRow(context.Background(), `
		SELECT count(*), count(DISTINCT colocationid) FROM pg_dist_partition
		 WHERE logicalrelid IN ('companies'::regclass, 'campaigns'::regclass, 'ads'::regclass) AND partmethod = 'h'`).Scan(&tables, &groups)
	if err != nil || tables != 3 || groups != 1 {
		t.Errorf("%d tables in %d colocation groups, want 3 in 1 (%v)", tables, groups, err)
	}
}

// A run that broke off is finished, also under other settings than it began with.
func TestDistributeFinishesWhatWasBegun(t *testing.T) {
	t.Parallel()
	for begun, sql := range map[string]string{
		"companies": `SELECT create_distributed_table('companies', 'id')`,
		"alone":     `SELECT create_distributed_table('companies', 'id', colocate_with => 'none')`,
		"ads":       `SELECT create_distributed_table('ads', 'company_id')`,
		"managed":   `SELECT citus_add_local_table_to_metadata('campaigns')`,
	} {
		t.Run(begun, func(t *testing.T) {
			conn := pgtest.Connect(t, pgtest.Citus(t))
			create(t, conn)
			run(t, conn, sql, `SET citus.shard_count = 5`)
			distribute(t, conn)
			wantColocated(t, conn)
		})
	}
}

func TestDistributeMovesRows(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	create(t, conn)
	run(t, conn, `INSERT INTO campaigns SELECT 1, g, 'n', 'm', 'running', 5, NULL, now(), now() FROM generate_series(1, 50) g`)
	got := distribute(t, conn)
	if want := ", with its rows; SELECT truncate_local_data_after_distributing_table('campaigns')"; !strings.Contains(got[1].Did, want) {
		t.Errorf("campaigns: %q, want it to say %q", got[1].Did, want)
	}
	states, err := provision.Status(context.Background(), conn)
	if err != nil || states[1].Rows != 50 {
		t.Errorf("after distribution: %+v, %v", states, err)
	}
}

func TestDistributeRefusesOtherDistributions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, sql, table, diff string
	}{
		{"column", `SELECT create_distributed_table('campaigns', 'id')`, "campaigns", "it is distributed by id, not by company_id"},
		{"reference", `SELECT create_reference_table('companies')`, "companies", "it is a reference table"},
		{"single shard", `SELECT create_distributed_table('companies', NULL)`, "companies", "it lies in one shard, without a distribution column"},
		{
			"not colocated", `SELECT create_distributed_table('companies', 'id'), create_distributed_table('ads', 'company_id', colocate_with => 'none')`,
			"ads", "it is not colocated with companies",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			conn := pgtest.Connect(t, pgtest.Citus(t))
			if strings.Contains(tt.sql, "NULL") {
				pgtest.NeedsCitus(t, conn, pgtest.SingleShard)
			}
			create(t, conn)
			for _, sql := range strings.Split(tt.sql, ", create_") {
				if !strings.HasPrefix(sql, "SELECT") {
					sql = "SELECT create_" + sql
				}
				run(t, conn, sql)
			}
			before := distributions(t, conn)
			got, err := provision.Distribute(context.Background(), conn, true)
			if len(got) > 0 {
				t.Errorf("did %v", got)
			}
			wantShapeError(t, err, tt.table, tt.diff)
			if remedy := "SELECT undistribute_table('" + tt.table + "'), then distribute again"; !strings.HasSuffix(err.Error(), remedy) {
				t.Errorf("error %v, want it to end in %q", err, remedy)
			}
			if diff := cmp.Diff(before, distributions(t, conn)); diff != "" {
				t.Errorf("something was changed (-before +after):\n%s", diff)
			}
		})
	}
}

// What the error tells the user to do works.
func TestRemedyOfDistribution(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	create(t, conn)
	run(t, conn, `SELECT create_reference_table('campaigns')`, `SELECT undistribute_table('campaigns')`)
	distribute(t, conn)
	wantColocated(t, conn)
}

// distributions returns how each table is distributed, in Citus's own words.
func distributions(t *testing.T, conn *pgx.Conn) []string {
	t.Helper()
	rows, err := conn.Query(context.Background(), `
		SELECT logicalrelid || ' ' || partmethod::text || ' ' || colocationid FROM pg_dist_partition
		 WHERE logicalrelid IN ('companies'::regclass, 'campaigns'::regclass, 'ads'::regclass) ORDER BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestDistributeWithoutCitus(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	if _, err := provision.Distribute(context.Background(), conn, false); err == nil || !strings.Contains(err.Error(), "no table companies") {
		t.Errorf("without tables: %v", err)
	}
	create(t, conn)
	got, err := provision.Distribute(context.Background(), conn, false)
	if err != nil {
		t.Fatal(err)
	}
	wantActions(t, got, "stays local: no Citus here", "stays local: no Citus here", "stays local: no Citus here")
	if _, err := provision.Distribute(context.Background(), conn, true); !errors.Is(err, provision.ErrNoCitus) {
		t.Errorf("with requireCitus: %v, want ErrNoCitus", err)
	}
}

// connectWorker connects to the first worker of the cluster behind dsn.
func connectWorker(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	nodes, err := citus.Nodes(context.Background(), pgtest.Connect(t, dsn))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes {
		if n.Group == 0 {
			continue
		}
		cfg.Host, cfg.Port, cfg.Fallbacks = n.Name, uint16(n.Port), nil
		conn, err := pgx.ConnectConfig(context.Background(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		return conn
	}
	t.Fatal("the cluster has no worker")
	return nil
}

func TestWorkersAreRefused(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	cfg := pgtest.Connect(t, dsn).Config()
	worker := connectWorker(t, dsn)
	ctx := context.Background()
	_, errCreate := provision.Create(ctx, worker, server.Waiting{})
	_, errDistribute := provision.Distribute(ctx, worker, false)
	_, errStatus := provision.Status(ctx, worker)
	_, errDrop := provision.Drop(ctx, worker, server.Waiting{})
	want := fmt.Sprintf("connect to the coordinator, %s:%d", cfg.Host, cfg.Port)
	for _, err := range []error{errCreate, errDistribute, errStatus, errDrop} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want it to say %q", err, want)
		}
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		create(t, conn)
		actions, err := provision.Distribute(context.Background(), conn, false)
		if err != nil {
			t.Fatal(err)
		}
		run(t, conn,
			`INSERT INTO companies SELECT g, 'n', 'u', now(), now() FROM generate_series(1, 300) g`,
			`DROP TABLE campaigns`, `CREATE VIEW campaigns AS SELECT 1 AS id`)
		got, err := provision.Status(context.Background(), conn)
		if err != nil {
			t.Fatal(err)
		}
		companies, campaigns, ads := got[0], got[1], got[2]
		if companies.Rows != 300 || ads.Rows != 0 || companies.Bytes <= ads.Bytes || companies.Problem != "" || !ads.Exists {
			t.Errorf("companies %+v\nads %+v", companies, ads)
		}
		if !campaigns.Exists || !strings.Contains(campaigns.Problem, "it is a view") {
			t.Errorf("campaigns %+v, want the problem that it is a view", campaigns)
		}
		if strings.Contains(actions[0].Did, "local") {
			if companies.Distribution != citus.Local || companies.Shards != 0 {
				t.Errorf("companies %+v, want it local", companies)
			}
			return
		}
		if companies.Distribution != citus.Hash || companies.Column != "id" || companies.Shards != 8 ||
			companies.Colocation == 0 || companies.Colocation != ads.Colocation {
			t.Errorf("companies %+v\nads %+v", companies, ads)
		}
		wantNodes(t, companies)
	})
}

// wantNodes fails t if the nodes' shards do not add up to the table.
func wantNodes(t *testing.T, s provision.TableStatus) {
	t.Helper()
	shards, bytes := 0, int64(0)
	for _, n := range s.Nodes {
		shards, bytes = shards+n.Shards, bytes+n.Bytes
	}
	if len(s.Nodes) != 2 || shards != s.Shards || bytes != s.Bytes {
		t.Errorf("nodes %+v, want %d shards on 2 nodes and %d bytes in all", s.Nodes, s.Shards, s.Bytes)
	}
}

func TestStatusOfNothing(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	got, err := provision.Status(context.Background(), conn)
	if err != nil {
		t.Fatal(err)
	}
	want := []provision.TableStatus{{Table: "companies"}, {Table: "campaigns"}, {Table: "ads"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}
