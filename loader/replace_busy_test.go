package loader_test

import (
	"errors"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// TestReplaceBeside holds that a load that replaces a table does not empty it while another
// process loads the same input into it, having emptied it.
func TestReplaceBeside(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := makeFlowing(t, dsn)
		path, rows := flowFile(t, 4000)
		load := func(change func(*loader.Config)) error {
			cfg := pieces(t, dsn)
			change(&cfg)
			s, err := loader.OpenSet(t.Context(), &loader.SetTable{Config: cfg, Inputs: []loader.Input{loader.File(path)}})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			_, err = s.Load(t.Context(), loader.SetOptions{Replace: true, NoAnalyze: true})
			return err
		}
		stored, goOn, done := make(chan struct{}, 1000), make(chan struct{}), make(chan error, 1)
		go func() {
			done <- load(func(c *loader.Config) {
				c.Observe = func(loader.StoredBatch) {
					stored <- struct{}{}
					<-goOn
				}
			})
		}()
		<-stored
		err := load(func(*loader.Config) {})
		if busy, ok := errors.AsType[*loader.PreflightError](err); !ok || busy.Do != "wait for it, or end it" {
			t.Errorf("beside another process: %v", err)
		}
		close(goOn)
		if err := receiveIn(t, "the first load", done); err != nil {
			t.Error(err)
		}
		sameRows(t, conn, "flowing", rows)
	})
}
