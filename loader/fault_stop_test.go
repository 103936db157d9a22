package loader_test

import (
	"context"
	"log/slog"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"shardload/internal/localpg"
	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestServersStop holds that a load goes on by itself when a server is stopped under
// it with pg_ctl stop -m immediate, and started again after a while, and stores every
// row once. Other than the servers of the other tests these wait for the disk.
func TestServersStop(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("TestServersCrash ends servers faster")
	}
	for _, server := range []string{"postgres", "citus"} {
		t.Run(server, func(t *testing.T) {
			cfg := localpg.Config{}
			if server == "citus" {
				if !localpg.HasCitus() {
					t.Skip("the Citus extension is not installed")
				}
				cfg.Workers = 2
				cfg.Settings = map[string]string{"citus.shard_count": "8"}
			}
			c := ownCluster(t, cfg)
			makeFlowing(t, c.DSN())
			nodes := c.Nodes()[:min(2, len(c.Nodes()))] // worker2 is as worker1
			for i, route := range routes(t) {
				for _, node := range inTurn(i, nodes) {
					t.Run(string(route)+"/"+node.Name, func(t *testing.T) { loadOverStop(t, c.DSN(), route, node) })
				}
			}
		})
	}
}

// loadOverStop loads while node is stopped and started again, some times.
func loadOverStop(t *testing.T, dsn string, route loader.Route, node localpg.Node) {
	if err := loader.Truncate(context.Background(), parse(t, dsn), "flowing"); err != nil {
		t.Fatal(err)
	}
	path, rows := flowFile(t, sized(5000, 20_000))
	cfg := pieces(t, dsn)
	cfg.Route, cfg.RetryFor = route, time.Minute
	var said strings.Builder
	cfg.Log = slog.New(slog.NewTextHandler(&said, nil))
	var mu sync.Mutex
	var restarts sync.WaitGroup
	batches, stops := 0, 0
	cfg.Observe = func(loader.StoredBatch) {
		mu.Lock()
		defer mu.Unlock()
		if batches++; batches%60 != 30 || stops == sized(1, 3) {
			return
		}
		stops++
		restarts.Wait()
		pgCtl(t, node, "stop", "-m", "immediate")
		restarts.Go(func() {
			time.Sleep(200 * time.Millisecond)
			pgCtl(t, node, "start")
		})
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := open(t, cfg).Load(ctx, loader.File(path))
	restarts.Wait()
	if err != nil || stops == 0 {
		t.Fatalf("%d stops, error %v; the load said:\n%s", stops, err, said.String())
	}
	sameRows(t, pgtest.Connect(t, dsn), "flowing", rows)
}

// ownCluster starts a cluster for t alone.
func ownCluster(t *testing.T, cfg localpg.Config) *localpg.Cluster {
	t.Helper()
	room, err := os.MkdirTemp("", "shardload-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(room, 0o755); err != nil { // servers that root starts run as another user
		t.Fatal(err)
	}
	cfg.Dir = filepath.Join(room, "cluster")
	c, err := localpg.StartDetached(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		now, err := localpg.Open(cfg.Dir) // servers that were started again are others
		if err == nil {
			err = now.Stop()
		}
		if err == nil {
			err = os.RemoveAll(room)
		}
		if err != nil {
			t.Error(err)
		}
	})
	return c
}

// pgCtl runs pg_ctl as the owner of node's data.
func pgCtl(t *testing.T, node localpg.Node, args ...string) {
	inst, err := localpg.Find()
	if err != nil {
		t.Error(err)
		return
	}
	info, err := os.Stat(node.Dir)
	if err != nil {
		t.Error(err)
		return
	}
	if args[0] == "start" { // the configuration lies beside the data
		args = append(args, "-o", "-c config_file="+node.Dir+".conf")
	}
	cmd := osexec.Command(filepath.Join(inst.BinDir, "pg_ctl"), append(args, "-w", "-D", node.Dir, "-l", filepath.Join(node.Dir, "restarted.log"))...)
	cmd.Dir = node.Dir
	// The servers know each other's password from a file, which their environment names.
	cmd.Env = append(os.Environ(), "PGPASSFILE="+filepath.Join(filepath.Dir(node.Dir), "pgpass.servers"))
	if owner := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && owner.Uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: owner.Uid, Gid: owner.Gid}}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("pg_ctl %s: %v: %s", args[0], err, out)
	}
}
