package pgtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"
)

// SingleShard is the first version of Citus with tables of one shard without a distribution
// column, with schemas whose tables lie together, and with identities that are no bigint.
const SingleShard = "12.0"

// NeedsCitus skips t, and says so, where Citus is older than version, such as "12.0". It
// does nothing on a server without Citus.
func NeedsCitus(t testing.TB, conn *pgx.Conn, version string) {
	t.Helper()
	var have string
	err := conn.QueryRow(context.Background(), "SELECT coalesce((SELECT extversion FROM pg_extension WHERE extname = 'citus'), '')").Scan(&have)
	if err != nil {
		t.Fatal(err)
	}
	if have != "" && before(have, version) {
		t.Skipf("needs Citus %s, and this is %s", version, have)
	}
}

// Version returns the version of PostgreSQL behind conn, such as 15.
func Version(t testing.TB, conn *pgx.Conn) (major int) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), "SELECT current_setting('server_version_num')::int / 10000").Scan(&major); err != nil {
		t.Fatal(err)
	}
	return major
}

// before reports whether version a, such as "11.3-1", comes before b.
func before(a, b string) bool {
	var x, y [2]int
	_, _ = fmt.Sscanf(a, "%d.%d", &x[0], &x[1]) // what is missing is 0
	_, _ = fmt.Sscanf(b, "%d.%d", &y[0], &y[1])
	return x[0] < y[0] || x[0] == y[0] && x[1] < y[1]
}
