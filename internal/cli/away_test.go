package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"shardload/internal/cli"
	"shardload/internal/pgtest"
)

// A listening buffer calls then, once, when it is told something with find in it.
type listening struct {
	bytes.Buffer
	find string
	then func()
}

func (l *listening) Write(p []byte) (int, error) {
	if l.then != nil && bytes.Contains(p, []byte(l.find)) {
		l.then()
		l.then = nil
	}
	return l.Buffer.Write(p)
}

// TestVerifyBesideRestart holds that verify waits for a node that is away when it begins, and
// says for which.
func TestVerifyBesideRestart(t *testing.T) {
	dsn := pgtest.Citus(t)
	conn := pgtest.Connect(t, dsn)
	pgtest.Exec(t, conn, "CREATE TABLE here (id int)", "SELECT create_distributed_table('here', 'id')", "INSERT INTO here SELECT generate_series(1, 100)")
	var lines strings.Builder
	for i := range 100 {
		fmt.Fprintln(&lines, i+1)
	}
	path := filepath.Join(t.TempDir(), "here.csv")
	if err := os.WriteFile(path, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close() // nobody listens there any more
	away := ln.Addr().(*net.TCPAddr).Port
	var id, port int
	if err := conn.QueryRow(t.Context(), "SELECT nodeid, nodeport FROM pg_dist_node WHERE groupid <> 0 LIMIT 1").Scan(&id, &port); err != nil {
		t.Fatal(err)
	}
	lead := func(port int) {
		if _, err := conn.Exec(context.Background(), fmt.Sprintf("UPDATE pg_dist_node SET nodeport = %d WHERE nodeid = %d", port, id)); err != nil {
			t.Error(err)
		}
	}
	defer func() {
		lead(port)
		pgtest.Exec(t, conn, "DELETE FROM pg_dist_authinfo WHERE rolename = 'waiting_reader'", "DROP OWNED BY waiting_reader", "DROP ROLE waiting_reader")
	}()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal("dsn: not a URL")
	}
	u.User = url.UserPassword("waiting_reader", "x")
	u.RawQuery = strings.Replace(u.RawQuery, "password=&", "", 1)
	pgtest.Exec(t, conn, "CREATE ROLE waiting_reader LOGIN PASSWORD 'x'", "GRANT SELECT ON here TO waiting_reader", "INSERT INTO pg_dist_authinfo VALUES (0, 'waiting_reader', 'password=x')",
		"DO $$ BEGIN EXECUTE pg_catalog.format('GRANT USAGE ON SCHEMA %I TO waiting_reader', pg_catalog.current_schema()); END $$")
	for _, args := range [][]string{{"--dsn", dsn}, {"--dsn", dsn, "--deep"}, {"--dsn", u.String()}} { // who may not let Citus recover looks what is prepared
		lead(away)
		stderr := &listening{find: "waiting up to", then: func() { lead(port) }}
		var stdout bytes.Buffer
		status := cli.Main(t.Context(), cli.Env{
			Args:  append([]string{"verify", "--table", "here", "--header", "no", path}, args...),
			Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: stderr, Getenv: func(string) string { return "" },
		})
		said := stderr.String()
		if status != 0 || !strings.Contains(said, "waiting up to 1m0s for ") || !strings.Contains(said, fmt.Sprint(away)) {
			t.Errorf("%v: status %d, said %s", args, status, said)
		}
	}
}
