package localpg_test

import (
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"shardload/internal/localpg"
)

// TestRevived holds that a node of a kept cluster that has died is started again beside the
// others: with its data, under a new password, and known to the others where another program has
// its port by now.
func TestRevived(t *testing.T) {
	needCitus(t)
	dir := filepath.Join(openDir(t), "cluster")
	t.Cleanup(func() { showLogs(t, dir) })
	var revived []string
	cfg := localpg.Config{Dir: dir, Workers: 2, Reviving: func(names []string) { revived = names }}
	c, err := localpg.StartDetached(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	stopAfter(t, c)
	conn := connect(t, c.DSN())
	exec1(t, conn, "CREATE TABLE kept (id int PRIMARY KEY)")
	exec1(t, conn, "SELECT create_distributed_table('kept', 'id')")
	exec1(t, conn, "INSERT INTO kept SELECT generate_series(1, 100)")
	old := password(t, c)

	dead := c.Nodes()[2]
	if err := syscall.Kill(dead.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	awaitGone(t, []localpg.Node{dead})
	for { // its processes have the port for a moment
		l, err := net.Listen("tcp4", net.JoinHostPort(dead.Host, strconv.Itoa(dead.Port)))
		if err == nil {
			t.Cleanup(func() { l.Close() })
			break
		}
	}
	again, err := localpg.StartDetached(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	stopAfter(t, again)
	if !slices.Equal(revived, []string{"worker2"}) {
		t.Errorf("revived %q, want worker2", revived)
	}
	nodes := again.Nodes()
	for i, before := range c.Nodes() {
		if i < 2 && nodes[i] != before {
			t.Errorf("%+v has become %+v", before, nodes[i])
		}
	}
	if nodes[2].Port == dead.Port || nodes[2].PID == 0 {
		t.Errorf("%+v: want another port than one that is taken", nodes[2])
	}
	opened(t, dir, true)
	if password(t, again) == old {
		t.Error("the password is the one that may be known at the dead node's port")
	}
	if got := psql(t, again.DSN(), "SELECT count(*) FROM kept"); got != "100" {
		t.Errorf("%s rows, want 100", got)
	}
	if _, err := localpg.StartDetached(t.Context(), cfg); err == nil {
		t.Error("started once more")
	}
}
