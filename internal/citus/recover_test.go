package citus_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/citus"
	"shardload/internal/pgtest"
)

// leavePrepared leaves a row of t prepared on the node that holds its shard, as a
// coordinator does that dies in the midst of a commit, and returns the
// transaction's name and a connection to the node. Only if decided has the
// coordinator decided to commit it.
func leavePrepared(t *testing.T, conn *pgx.Conn, decided bool) (gid string, worker *pgx.Conn) {
	t.Helper()
	var shard, node string
	var group int
	err := conn.QueryRow(context.Background(), `
		SELECT s.shard_name, s.nodename || ':' || s.nodeport, n.groupid
		  FROM citus_shards s JOIN pg_dist_node n USING (nodename, nodeport)
		 WHERE s.shardid = get_shard_id_for_distribution_column('t', 1)`).Scan(&shard, &node, &group)
	if err != nil {
		t.Fatal(err)
	}
	worker = connectNode(t, conn, node)
	keepDaemonAway(t, conn)
	// As Citus names them: coordinator's group, process, transaction, connection.
	gid = fmt.Sprintf("citus_0_%d_%d_1", worker.PgConn().PID(), time.Now().UnixNano())
	exec(t, worker, `BEGIN`, `INSERT INTO `+shard+` VALUES (1)`, `PREPARE TRANSACTION '`+gid+`'`)
	t.Cleanup(func() {
		// Whatever became of it: what stays prepared holds locks for ever.
		worker.Exec(context.Background(), `ROLLBACK PREPARED '`+gid+`'`)
	})
	if decided {
		exec(t, conn, fmt.Sprintf(`INSERT INTO pg_dist_transaction VALUES (%d, '%s')`, group, gid))
	}
	return gid, worker
}

// keepDaemonAway keeps Citus from recovering by itself, once in a minute, while the
// test looks on.
func keepDaemonAway(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	exec(t, conn, `ALTER SYSTEM SET citus.recover_2pc_interval = -1`, `SELECT pg_reload_conf()`)
	t.Cleanup(func() {
		exec(t, conn, `ALTER SYSTEM RESET citus.recover_2pc_interval`, `SELECT pg_reload_conf()`)
	})
	for setting := ""; setting != "-1"; { // each query lets the session look at the new file
		err := conn.QueryRow(t.Context(), `SELECT setting FROM pg_settings WHERE name = 'citus.recover_2pc_interval'`).Scan(&setting)
		if err != nil {
			t.Fatal(err)
		}
	}
}

func newDistributed(t *testing.T) *pgx.Conn {
	t.Helper()
	conn := pgtest.Connect(t, pgtest.Citus(t))
	exec(t, conn, `CREATE TABLE t (k integer)`, `SELECT create_distributed_table('t', 'k')`)
	return conn
}

func countRows(t *testing.T, conn *pgx.Conn) (n int64) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), "SELECT count(*) FROM t").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func exec(t *testing.T, conn *pgx.Conn, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := conn.Exec(context.Background(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// connectNode returns a connection to the node with that address, which ends with
// the test.
func connectNode(t *testing.T, conn *pgx.Conn, node string) *pgx.Conn {
	t.Helper()
	host, text, err := net.SplitHostPort(node)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	cfg := conn.Config()
	cfg.Host, cfg.Port, cfg.Fallbacks = host, uint16(port), nil
	worker, err := pgx.ConnectConfig(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { worker.Close(context.Background()) })
	return worker
}

func TestRecoverFinishesWhatWasDecided(t *testing.T) {
	for decided, want := range map[bool]int64{true: 1, false: 0} {
		t.Run(fmt.Sprint(decided), func(t *testing.T) {
			conn := newDistributed(t)
			leavePrepared(t, conn, decided)
			if got := countRows(t, conn); got != 0 {
				t.Fatalf("%d rows before recovery, want 0", got)
			}
			n, note, err := citus.Recover(context.Background(), conn)
			if err != nil || n != 1 || !strings.Contains(note, "1 transaction") {
				t.Fatalf("Recover() = %d, %q, %v; want 1", n, note, err)
			}
			if got := countRows(t, conn); got != want {
				t.Errorf("%d rows after recovery, want %d", got, want)
			}
		})
	}
}

func TestRecoverHasNothingToDo(t *testing.T) {
	pgtest.Each(t, func(t *testing.T, dsn string) {
		n, note, err := citus.Recover(context.Background(), pgtest.Connect(t, dsn))
		if n != 0 || note != "" || err != nil {
			t.Errorf("Recover() = %d, %q, %v", n, note, err)
		}
	})
}

// A role that may not recover can only look, and wait.
func TestWaitingForRecovery(t *testing.T) {
	conn := newDistributed(t)
	gid, worker := leavePrepared(t, conn, false)
	ctx := context.Background()
	doubtful, err := citus.Prepared(ctx, conn)
	if err != nil {
		t.Fatal(err)
	}
	doubtful = slices.DeleteFunc(doubtful, func(id string) bool { return !strings.HasSuffix(id, ":"+gid) })
	if len(doubtful) != 1 {
		t.Fatalf("%s is not among the prepared transactions", gid)
	}
	left, err := citus.WaitFor(ctx, conn, doubtful, 0)
	if err != nil || !slices.Equal(left, doubtful) {
		t.Errorf("without patience: %v left, %v; want %v", left, err, doubtful)
	}
	gone, cancel := context.WithCancel(ctx)
	finished := make(chan error)
	go func() {
		_, err := worker.Exec(ctx, `ROLLBACK PREPARED '`+gid+`'`)
		finished <- err
	}()
	left, err = citus.WaitFor(ctx, conn, doubtful, time.Minute)
	if err != nil || len(left) > 0 {
		t.Errorf("with patience: %v left, %v", left, err)
	}
	if err := <-finished; err != nil {
		t.Error(err)
	}
	cancel()
	if _, err := citus.WaitFor(gone, conn, doubtful, time.Minute); err == nil {
		t.Error("no error when the context has ended")
	}
}

// Where Citus does not recover by itself either, there is nothing to wait for, and
// somebody else has to act.
func TestWaitingInVain(t *testing.T) {
	conn := newDistributed(t)
	leavePrepared(t, conn, false)
	n, note, err := citus.WaitForRecovery(context.Background(), conn)
	if n != 0 || err != nil || !strings.Contains(note, "still prepared") || !strings.Contains(note, "recover_prepared_transactions()") {
		t.Errorf("WaitForRecovery() = %d, %q, %v; want a note about who can finish it", n, note, err)
	}
}

func TestRecoverByAnOrdinaryRole(t *testing.T) {
	conn := newDistributed(t)
	role := fmt.Sprintf("clerk_%d", conn.PgConn().PID())
	exec(t, conn, `CREATE ROLE `+role)
	t.Cleanup(func() { exec(t, conn, `RESET ROLE`, `DROP ROLE `+role) })
	exec(t, conn, `SET ROLE `+role)
	n, _, err := citus.Recover(context.Background(), conn)
	// The role cannot log in, so that the nodes cannot be asked as it either. What
	// matters is that this is said and not taken for "nothing to do".
	if err == nil || !strings.Contains(err.Error(), "look for prepared transactions") || n != 0 {
		t.Errorf("Recover() = %d, %v; want an error that says that the nodes could not be asked", n, err)
	}
}
