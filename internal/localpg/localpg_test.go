package localpg_test

import (
	"context"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/localpg"
)

func TestMain(m *testing.M) {
	if os.Getenv(helperEnv) != "" {
		os.Exit(helper())
	}
	os.Exit(m.Run())
}

// openDir returns a new directory that the servers' user can enter, which the
// directories of the testing package are not.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "localpg-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return dir
}

// startCluster starts a cluster that is stopped after t.
func startCluster(t *testing.T, cfg localpg.Config) *localpg.Cluster {
	t.Helper()
	if cfg.Workers > 0 {
		needCitus(t)
	}
	c, err := localpg.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	stopAfter(t, c)
	return c
}

func stopAfter(t *testing.T, c *localpg.Cluster) {
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
}

func needCitus(t *testing.T) {
	t.Helper()
	if !localpg.HasCitus() {
		t.Skip("the Citus extension is not installed")
	}
}

func connect(t *testing.T, dsn string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func exec1(t *testing.T, conn *pgx.Conn, sql string) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// query returns the first column of the rows, as text.
func query(t *testing.T, conn *pgx.Conn, sql string) []string {
	t.Helper()
	rows, err := conn.Query(t.Context(), sql, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	got, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func psql(t *testing.T, dsn, sql string) string {
	t.Helper()
	inst, err := localpg.Find()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(inst.BinDir, "psql")
	if _, err := os.Stat(program); err != nil {
		program = "psql" // there are servers without clients beside them
	}
	cmd := exec.Command(program, "-XAtw", dsn, "-c", sql)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("psql: %v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}

// password returns what c's servers want to hear.
func password(t *testing.T, c *localpg.Cluster) string {
	t.Helper()
	line, err := os.ReadFile(filepath.Join(c.Dir(), "pgpass"))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Split(strings.TrimSpace(string(line)), ":")
	if pw := fields[len(fields)-1]; len(pw) >= 20 {
		return pw
	}
	t.Fatal("pgpass: no long password in it")
	return ""
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

func TestStartStop(t *testing.T) {
	t.Setenv("PGPASSWORD", "of another server")
	t.Setenv("PGOPTIONS", "")
	c := startCluster(t, localpg.Config{})
	conn := connect(t, c.DSN())
	const who = "SELECT current_user || ' ' || current_database()"
	if diff := cmp.Diff([]string{"shardload shardload"}, query(t, conn, who)); diff != "" {
		t.Error(diff)
	}
	if got := psql(t, c.DSN(), who); got != "shardload shardload" {
		t.Errorf("psql: %q", got)
	}
	if c.Citus() {
		t.Error("a plain server calls itself Citus")
	}
	nodes := c.Nodes()
	if len(nodes) != 1 || nodes[0].Name != "coordinator" || !alive(nodes[0].PID) {
		t.Fatalf("nodes: %+v", nodes)
	}
	for range 2 {
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	if alive(nodes[0].PID) {
		t.Error("the server runs after Stop")
	}
	if _, err := os.Stat(c.Dir()); !os.IsNotExist(err) {
		t.Errorf("the directory is there after Stop: %v", err)
	}
	if pid := c.Nodes()[0].PID; pid != 0 {
		t.Errorf("a stopped node has the PID %d", pid)
	}
}

func TestCitus(t *testing.T) {
	c := startCluster(t, localpg.Config{Workers: 2, Settings: map[string]string{"citus.shard_count": "4"}})
	if !c.Citus() || len(c.Nodes()) != 3 {
		t.Fatalf("citus %t, nodes %+v", c.Citus(), c.Nodes())
	}
	conn := connect(t, c.DSN())
	var want []string
	for i, n := range c.Nodes() {
		want = append(want, n.Host+":"+strconv.Itoa(n.Port)+" "+strconv.FormatBool(i > 0))
	}
	got := query(t, conn, `SELECT format('%s:%s %s', nodename, nodeport, shouldhaveshards::text)
		FROM pg_dist_node WHERE isactive AND metadatasynced ORDER BY groupid`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pg_dist_node (-want +got):\n%s", diff)
	}
	exec1(t, conn, "CREATE TABLE ads (id int PRIMARY KEY)")
	exec1(t, conn, "SELECT create_distributed_table('ads', 'id')")
	exec1(t, conn, "INSERT INTO ads SELECT generate_series(1, 100)")

	// A non-blocking move needs logical replication between the nodes, their
	// password, and on some releases a permission for Citus's output plugin.
	exec1(t, conn, `SELECT citus_move_shard_placement(shardid, nodename, nodeport, '127.0.0.1',
			(SELECT nodeport FROM pg_dist_node w WHERE shouldhaveshards AND w.nodeport <> s.nodeport), 'force_logical')
		FROM citus_shards s ORDER BY shardid LIMIT 1`)
	if got := query(t, conn, "SELECT count(*)::text FROM ads"); got[0] != "100" {
		t.Errorf("%s rows after the move, want 100", got[0])
	}
	worker := strings.Replace(c.DSN(), strconv.Itoa(c.Nodes()[0].Port), strconv.Itoa(c.Nodes()[1].Port), 1)
	if got := psql(t, worker, "SELECT count(*) FROM ads"); got != "100" {
		t.Errorf("%s rows as seen from a worker, want 100", got)
	}
}

// One server for several tests, in a directory and with a database whose names ask
// for every kind of quoting.
func TestServer(t *testing.T) {
	const database = `My "own" db/+%`
	c := startCluster(t, localpg.Config{
		Dir:      filepath.Join(openDir(t), `new`, `it's a "dîr" + 100% & = # ? \`),
		Database: database,
		Settings: map[string]string{"shardload.odd": oddSetting, "work_mem": "7MB"},
	})
	if got := psql(t, c.DSN(), "SELECT current_database()"); got != database {
		t.Errorf("psql: %s", got)
	}
	if got := query(t, connect(t, c.DSN()), "SELECT current_database()"); got[0] != database {
		t.Errorf("pgx: %s", got)
	}
	t.Run("settings", func(t *testing.T) { testSettings(t, c) })
	t.Run("refused", func(t *testing.T) { testRefused(t, c) })
	t.Run("private files", func(t *testing.T) { testPrivateFiles(t, c) })
}

const oddSetting = "it's \\ two\nlines"

// What is measured on such a server must be what PostgreSQL takes to be safe.
func testSettings(t *testing.T, c *localpg.Cluster) {
	conn := connect(t, c.DSN())
	for name, want := range map[string]string{
		"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on",
		"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "password_encryption": "scram-sha-256",
		"work_mem": "7MB", "shardload.odd": oddSetting, "server_encoding": "UTF8",
	} {
		if got := query(t, conn, "SHOW "+name); got[0] != want {
			t.Errorf("%s is %q, want %q", name, got[0], want)
		}
	}
}

// Only the owner of the password gets in, by TCP on 127.0.0.1, and hears nothing
// of the right password when he is wrong.
func testRefused(t *testing.T, c *localpg.Cluster) {
	pw := password(t, c)
	for name, change := range map[string]func(*url.URL){
		"wrong password": func(u *url.URL) { u.RawQuery = "sslmode=disable&password=wrong" },
		"no password":    func(u *url.URL) { u.RawQuery = "sslmode=disable&passfile=/dev/null" },
		"other role":     func(u *url.URL) { u.User = url.User("postgres") },
	} {
		u, err := url.Parse(c.DSN())
		if err != nil {
			t.Fatal(err)
		}
		change(u)
		conn, err := pgx.Connect(t.Context(), u.String())
		if err == nil {
			conn.Close(t.Context())
			t.Errorf("%s: got in", name)
			continue
		}
		if strings.Contains(err.Error(), pw) || !strings.Contains(err.Error(), "28P01") {
			t.Errorf("%s: %v", name, err)
		}
	}
	port := strconv.Itoa(c.Nodes()[0].Port)
	for _, host := range otherAddresses(t) {
		if conn, err := net.Dial("tcp", net.JoinHostPort(host, port)); err == nil {
			conn.Close()
			t.Errorf("somebody listens on %s", host)
		}
	}
}

// otherAddresses returns addresses of this machine, without 127.0.0.1.
func otherAddresses(t *testing.T) []string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	hosts := []string{"127.0.0.2"}
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.String() != "127.0.0.1" && !ip.IP.IsLinkLocalUnicast() {
			hosts = append(hosts, ip.IP.String())
		}
	}
	return hosts
}

// The password is in the files that are there for it and nowhere else, and none of
// the files is for others to read.
func testPrivateFiles(t *testing.T, c *localpg.Cluster) {
	pw := password(t, c)
	if strings.Contains(c.DSN(), pw) {
		t.Error("the DSN holds the password")
	}
	err := filepath.WalkDir(c.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil // files come and go beneath a running server
		}
		info, err := d.Info()
		if err != nil {
			return nil
		}
		readable := os.FileMode(0o700)
		if filepath.Dir(path) == c.Dir() && strings.HasSuffix(path, ".conf") {
			readable = 0o740 // for the servers' user, who cannot change it
		}
		if allowed := info.Mode().Perm() &^ readable; allowed != 0 && path != c.Dir() {
			t.Errorf("%s: mode %v", path, info.Mode())
		}
		if d.IsDir() || strings.HasPrefix(d.Name(), "pgpass") {
			return nil
		}
		if text, err := os.ReadFile(path); err == nil && strings.Contains(string(text), pw) {
			t.Errorf("%s: holds the password", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.Dir())
	if err != nil || info.Mode().Perm()&0o066 != 0 {
		t.Errorf("%v, %v: others can list it", info.Mode(), err)
	}
}
