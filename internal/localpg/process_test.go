package localpg_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"shardload/internal/localpg"
)

// helperEnv makes the test binary run helper in place of the tests: "attached"
// starts a cluster and waits, "detached" starts one and goes.
const (
	helperEnv    = "LOCALPG_TEST_HELPER"
	helperDirEnv = "LOCALPG_TEST_DIR"
	workersEnv   = "LOCALPG_TEST_WORKERS"
)

type helperReport struct {
	DSN   string
	Dir   string
	Nodes []localpg.Node
}

func helper() int {
	workers, _ := strconv.Atoi(os.Getenv(workersEnv))
	cfg := localpg.Config{Dir: os.Getenv(helperDirEnv), Workers: workers}
	start := localpg.Start
	if os.Getenv(helperEnv) == "detached" {
		start = localpg.StartDetached
	}
	c, err := start(context.Background(), cfg)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := json.NewEncoder(os.Stdout).Encode(helperReport{c.DSN(), c.Dir(), c.Nodes()}); err != nil {
		return 1
	}
	if os.Getenv(helperEnv) == "detached" {
		return 0
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is done with us
	if err := c.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// runHelper starts a helper and returns when its cluster is up.
func runHelper(t *testing.T, cmd *exec.Cmd, mode string, env ...string) (helperReport, io.Closer) {
	t.Helper()
	cmd.Env = append(append(os.Environ(), env...), helperEnv+"="+mode)
	cmd.Stderr = os.Stderr
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("helper: %v, %v", err, cmd.Wait())
	}
	var report helperReport
	if err := json.Unmarshal(line, &report); err != nil {
		t.Fatal(err)
	}
	return report, stdin
}

// awaitGone waits until nodes do not run.
func awaitGone(t *testing.T, nodes []localpg.Node) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for _, n := range nodes {
		for zombieOrGone := false; !zombieOrGone; time.Sleep(10 * time.Millisecond) {
			// A server without a parent may stay a zombie where nobody reaps.
			args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", n.PID))
			zombieOrGone = err != nil || len(args) == 0
			if time.Now().After(deadline) {
				t.Fatalf("%s runs on", n.Name)
			}
		}
	}
}

// Servers go with the process that started them, also when it had no chance to
// stop them; the next start removes the directory that it left.
func TestKilledParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a child of its parent's death")
	}
	tmp := openDir(t)
	t.Setenv("TMPDIR", tmp)
	cmd := exec.Command(os.Args[0])
	report, _ := runHelper(t, cmd, "attached")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // says that it was killed
	awaitGone(t, report.Nodes)

	longAgo := time.Now().Add(-time.Hour)
	if err := os.Chtimes(report.Dir, longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	other := startCluster(t, localpg.Config{}) // of a living process: stays
	if err := os.Chtimes(other.Dir(), longAgo, longAgo); err != nil {
		t.Fatal(err)
	}
	startCluster(t, localpg.Config{})
	if _, err := os.Stat(report.Dir); !os.IsNotExist(err) {
		t.Errorf("the directory of the killed process is still there: %v", err)
	}
	connect(t, other.DSN())
}

// An ordinary user needs no other to run servers as.
func TestOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("the other tests run as one")
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		t.Skip("there is no user nobody")
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	tmp := openDir(t)
	if err := os.Chown(tmp, uid, gid); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(tmp, "helper")
	text, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, text, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Dir = tmp
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	report, stdin := runHelper(t, cmd, "attached", "TMPDIR="+tmp)
	info, err := os.Stat(filepath.Join(report.Dir, "pgpass"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid != uint32(uid) || info.Mode().Perm() != 0o600 {
		t.Errorf("pgpass: %v, %v", info, err)
	}
	if got := psql(t, report.DSN, "SELECT 1"); got != "1" {
		t.Errorf("psql: %s", got)
	}
	stdin.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	awaitGone(t, report.Nodes)
}

func TestDetached(t *testing.T) {
	workers := 0
	if localpg.HasCitus() {
		workers = 1
	}
	dir := filepath.Join(openDir(t), "cluster")
	t.Cleanup(func() { showLogs(t, dir) })
	cfg := localpg.Config{Dir: dir, Workers: workers}
	cmd := exec.Command(os.Args[0])
	report, _ := runHelper(t, cmd, "detached", helperDirEnv+"="+dir, workersEnv+"="+strconv.Itoa(workers))
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	c := opened(t, dir, true)
	stopAfter(t, c)
	conn := connect(t, report.DSN)
	exec1(t, conn, "CREATE TABLE kept (id int PRIMARY KEY)")
	if workers > 0 {
		exec1(t, conn, "SELECT create_distributed_table('kept', 'id')")
	}
	exec1(t, conn, "INSERT INTO kept SELECT generate_series(1, 100)")

	if _, err := localpg.StartDetached(t.Context(), cfg); !errors.Is(err, localpg.ErrRunning) {
		t.Errorf("a second start: %v", err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, report.Nodes)
	opened(t, dir, false)
	startElsewhere(t, cfg, report.Nodes)
	if got := psql(t, opened(t, dir, true).DSN(), "SELECT count(*) FROM kept"); got != "100" {
		t.Errorf("%s rows were kept, want 100", got)
	}
}

// startElsewhere starts a cluster again whose nodes' ports others have taken
// meanwhile.
func startElsewhere(t *testing.T, cfg localpg.Config, old []localpg.Node) {
	t.Helper()
	for _, n := range old {
		if l, err := net.Listen("tcp4", net.JoinHostPort(n.Host, strconv.Itoa(n.Port))); err == nil {
			t.Cleanup(func() { l.Close() })
		}
	}
	c, err := localpg.StartDetached(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	stopAfter(t, c)
	for i, n := range c.Nodes() {
		if n.Port == old[i].Port {
			t.Errorf("%s has the port %d, which was taken", n.Name, n.Port)
		}
	}
}

// showLogs shows what the servers in dir said, if t has failed.
func showLogs(t *testing.T, dir string) {
	logs, _ := filepath.Glob(filepath.Join(dir, "*.log")) // the pattern is well formed
	for _, name := range logs {
		if text, err := os.ReadFile(name); err == nil && t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(name), text)
		}
	}
}

// opened opens the cluster in dir and checks that its nodes run, or do not.
func opened(t *testing.T, dir string, running bool) *localpg.Cluster {
	t.Helper()
	c, err := localpg.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range c.Status(t.Context()) {
		if st.Running != running || (st.PID != 0) != running || st.Version == "" || st.Err != nil {
			t.Errorf("status: %+v; want running %t", st, running)
		}
	}
	return c
}

func TestOpenNothing(t *testing.T) {
	if _, err := localpg.Open(t.TempDir()); !errors.Is(err, localpg.ErrNoCluster) {
		t.Errorf("error %v", err)
	}
}

// A postmaster.pid that outlived a crash may name anybody: here, this test.
func TestStalePIDFile(t *testing.T) {
	dir := openDir(t)
	c := startCluster(t, localpg.Config{Dir: dir})
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	stale := fmt.Sprintf("%d\n%s\n", os.Getpid(), c.Nodes()[0].Dir)
	if err := os.WriteFile(filepath.Join(c.Nodes()[0].Dir, "postmaster.pid"), []byte(stale), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := opened(t, dir, false).Stop(); err != nil {
		t.Error(err)
	}
}

// Data in a directory of one's own outlives Stop, and another shape of cluster is
// not mistaken for it.
func TestStartAgain(t *testing.T) {
	dir := openDir(t)
	c := startCluster(t, localpg.Config{Dir: dir})
	if _, err := localpg.Start(t.Context(), localpg.Config{Dir: dir}); !errors.Is(err, localpg.ErrRunning) {
		t.Errorf("a second start: %v", err)
	}
	exec1(t, connect(t, c.DSN()), "CREATE TABLE kept AS SELECT 7 AS id")
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := localpg.Start(t.Context(), localpg.Config{Dir: dir, Database: "other"}); err == nil {
		t.Error("started with another database")
	}
	again := startCluster(t, localpg.Config{Dir: dir})
	if got := psql(t, again.DSN(), "SELECT id FROM kept"); got != "7" {
		t.Errorf("kept %s, want 7", got)
	}
}

// TestUpgradedCitus holds that a kept cluster whose Citus was upgraded while it was
// stopped works when it is started again.
func TestUpgradedCitus(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts a cluster twice")
	}
	if !localpg.HasCitus() {
		t.Skip("the Citus extension is not installed")
	}
	dir := openDir(t)
	c := startCluster(t, localpg.Config{Dir: dir, Workers: 1})
	for _, n := range c.Nodes() {
		conn := connect(t, strings.Replace(c.DSN(), strconv.Itoa(c.Nodes()[0].Port), strconv.Itoa(n.Port), 1))
		exec1(t, conn, "SET citus.enable_version_checks = off")
		exec1(t, conn, "DROP EXTENSION IF EXISTS citus_columnar, citus CASCADE")
		exec1(t, conn, "CREATE EXTENSION citus VERSION '11.3-1'")
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	again := startCluster(t, localpg.Config{Dir: dir, Workers: 1})
	conn := connect(t, again.DSN())
	if old := query(t, conn, "SELECT extversion FROM pg_extension e JOIN pg_available_extensions a ON a.name = e.extname WHERE e.extversion <> a.default_version"); len(old) > 0 {
		t.Errorf("versions %v are left", old)
	}
	exec1(t, conn, "CREATE TABLE t (id int)")
	exec1(t, conn, "SELECT citus_set_coordinator_host('127.0.0.1')")
	exec1(t, conn, "SELECT create_reference_table('t')")
	exec1(t, conn, "INSERT INTO t VALUES (1), (2), (3)")
}
