package loader_test

import (
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestSmallFile holds that the plan of a file that is stored in one transaction is to do so, for which
// no node is needed, and that of others is not: of what is packed nobody knows how large it is.
func TestSmallFile(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Citus(t)
	makeFlowing(t, dsn)
	data := append([]byte("id,tenant,name,n,at\n"), newFlow(0).more()...)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write(data)
	z.Close()
	large := append(bytes.Clone(data), bytes.Repeat(data[len("id,tenant,name,n,at\n"):], 2*(16<<20)/len(data))...)
	for name, c := range map[string]struct {
		data []byte
		cfg  loader.Config
		want loader.Route
	}{
		"small":            {data, loader.Config{}, loader.RouteCoordinator},
		"large":            {large, loader.Config{}, loader.RouteShard},
		"packed":           {packed.Bytes(), loader.Config{}, loader.RouteShard},
		"small, by shards": {data, loader.Config{Route: loader.RouteShard}, loader.RouteShard},
		"without marks":    {data, loader.Config{NoResume: true}, loader.RouteShard},
	} {
		path := filepath.Join(t.TempDir(), "in.csv")
		if err := os.WriteFile(path, c.data, 0o600); err != nil {
			t.Fatal(err)
		}
		c.cfg.Conn, c.cfg.Table = parse(t, dsn), "flowing"
		set, err := loader.OpenSet(t.Context(), &loader.SetTable{Config: c.cfg, Inputs: []loader.Input{loader.File(path)}})
		if err != nil {
			t.Fatal(err)
		}
		if got := set.Tables()[0].Loader().Plan(); got.Route != c.want {
			t.Errorf("%s: route %s, want %s; %s", name, got.Route, c.want, got.Why)
		}
		if err := set.Close(); err != nil {
			t.Error(err)
		}
	}
}
