package loader_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// replace loads in with SetOptions.Replace, as a process of its own, and returns what it told. The load is
// interrupted after that many batches; 0 lets it end.
func (s *shelf) replace(in loader.Input, batches int) (told string, res loader.Result, err error) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cfg := s.cfg
	var mu sync.Mutex
	cfg.Observe = func(loader.StoredBatch) {
		mu.Lock()
		defer mu.Unlock()
		if batches--; batches == 0 {
			cancel()
		}
	}
	set, err := loader.OpenSet(ctx, &loader.SetTable{Config: cfg, Inputs: []loader.Input{in}})
	if err != nil {
		s.t.Fatal(err)
	}
	defer set.Close()
	told = "emptied"
	observe := loader.SetObserver{
		Replacing: func(goOn bool, because *loader.JobError) { told = fmt.Sprint("goes on: ", goOn) },
		Loaded: func(_ *loader.SetTable, _ loader.Input, _ loader.Result, err error) {
			if _, ok := errors.AsType[*loader.CompleteError](err); ok {
				told += ", complete"
			}
		},
	}
	results, err := set.Load(ctx, loader.SetOptions{Replace: true, NoAnalyze: true, SetObserver: observe})
	if len(results) > 0 && len(results[0].Inputs) > 0 {
		res = results[0].Inputs[0]
	}
	return told, res, err
}

// TestReplaceWithFiles holds that a set which empties the table goes on after it was stopped, and empties
// it once more where the table has other rows, or the set other files, or all was complete.
func TestReplaceWithFiles(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.cfg.Batch, s.cfg.Memory, s.cfg.MaxRecord = 8<<10, 8<<20, 1<<20
		s.put(pgtest.Sized(800, 3000), "a.csv", "b.csv", "c.csv")
		s.put(20, "d.csv")
		exec(t, s.conn, "INSERT INTO flowing VALUES (-1, 1, 'before', 1, now())")
		want := func(in loader.Input, batches int, told string) {
			t.Helper()
			got, _, err := s.replace(in, batches)
			if stopped := batches > 0; stopped != errors.Is(err, context.Canceled) || !stopped && err != nil {
				t.Fatal(err)
			}
			if got != told {
				t.Errorf("told %q, want %q", got, told)
			}
		}
		abc := s.set("a.csv", "b.csv", "c.csv")
		want(abc, 3, "emptied")
		want(abc, 3, "goes on: true")
		want(abc, 0, "goes on: true")
		s.once("a.csv", "b.csv", "c.csv")
		want(abc, 0, "emptied") // it was complete
		s.once("a.csv", "b.csv", "c.csv")
		want(abc, 3, "emptied")
		want(s.set("a.csv", "c.csv"), 0, "emptied") // b.csv may be in it
		s.once("a.csv", "c.csv")
		want(abc, 3, "emptied")
		exec(t, s.conn, "INSERT INTO flowing VALUES (-1, 1, 'beside', 1, now())")
		want(abc, 3, "emptied")
		want(s.set("a.csv", "b.csv", "c.csv", "d.csv"), 0, "goes on: true")
		s.once("a.csv", "b.csv", "c.csv", "d.csv")
	})
}

// TestReplaceByMany holds that several processes empty the table once for a job of a name, and that none does
// without one while others load.
func TestReplaceByMany(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		s := newShelf(t, dsn)
		s.cfg.Batch, s.cfg.Memory, s.cfg.MaxRecord, s.cfg.Job = 8<<10, 8<<20, 1<<20, "tonight"
		s.put(3000, "a.csv", "b.csv", "c.csv", "d.csv")
		s.put(20, "e.csv")
		exec(t, s.conn, "INSERT INTO flowing VALUES (-1, 1, 'before', 1, now())")
		in := s.set("a.csv", "b.csv", "c.csv", "d.csv")
		var told [3]string
		var all sync.WaitGroup
		for i := range told {
			all.Go(func() {
				var err error
				if told[i], _, err = s.replace(in, 0); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if slices.Contains(told[:], "") {
			t.Errorf("told %q", told)
		}
		s.once("a.csv", "b.csv", "c.csv", "d.csv")
		if late, _, err := s.replace(in, 0); err != nil || late != "goes on: true, complete" {
			t.Errorf("a late one: %q, %v", late, err)
		}
		s.once("a.csv", "b.csv", "c.csv", "d.csv")
		if _, _, err := s.replace(s.set("a.csv", "e.csv"), 0); err == nil {
			t.Error("other files of a job that is complete are loaded beside its rows")
		}
		s.once("a.csv", "b.csv", "c.csv", "d.csv")

		s.cfg.Job = "" // while a process loads
		loading, goOn := make(chan struct{}), make(chan struct{})
		first := s.cfg
		var once sync.Once
		first.Observe = func(loader.StoredBatch) { once.Do(func() { close(loading); <-goOn }) }
		first.Job = "beside"
		ended := make(chan error)
		go func() {
			_, err := run2(first, s.set("a.csv", "e.csv"))
			ended <- err
		}()
		<-loading
		_, _, err := s.replace(in, 0)
		if _, ok := errors.AsType[*loader.PreflightError](err); !ok {
			t.Errorf("%v, want that it is refused", err)
		}
		close(goOn)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// run2 loads in.
func run2(cfg loader.Config, in loader.Input) (loader.Result, error) {
	l, err := loader.Open(context.Background(), cfg)
	if err != nil {
		return loader.Result{}, err
	}
	defer l.Close()
	return l.Load(context.Background(), in)
}
