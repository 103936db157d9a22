package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"

	"golang.org/x/sync/errgroup"
)

// A starter is one Start at work.
type starter struct {
	cfg      Config
	inst     Installation
	detached bool
	*Cluster
}

func (s *starter) programs() programs { return programs{s.inst, s.home} }

func start(ctx context.Context, cfg Config, detached bool) (*Cluster, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	inst, err := Find()
	if err != nil {
		return nil, err
	}
	if cfg.Workers > 0 && !inst.HasCitus() {
		return nil, fmt.Errorf("citus: the extension is not installed beside PostgreSQL in %s:"+
			" install Citus's package for this version, or ask for no workers", inst.BinDir)
	}
	h, err := makeHome(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &starter{cfg: cfg, inst: inst, detached: detached, Cluster: &Cluster{
		home: h, database: cfg.Database, citus: cfg.Workers > 0,
	}}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	switch {
	case detached: // it is no longer this process's
		return s.Cluster, s.home.unlock()
	case !h.temporary:
		err = s.home.own.Replace(attachedFile, nil, 0o600, nil)
	}
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s.Cluster, nil
}

// run starts the servers in s.home, or leaves everything as it was.
func (s *starter) run(ctx context.Context) error {
	saved, found, err := s.home.readState()
	if err != nil {
		return errors.Join(err, s.home.own.Close())
	}
	if gone := s.home.own.Root.Remove(attachedFile); gone != nil && !errors.Is(gone, fs.ErrNotExist) {
		return errors.Join(gone, s.home.own.Close()) // of a process that was killed
	}
	if found {
		if err := s.restart(ctx, saved); err != nil {
			return errors.Join(err, s.abort(false), s.home.own.Close())
		}
		return nil
	}
	if err := s.create(ctx); err != nil {
		return errors.Join(err, s.abort(true), s.home.remove())
	}
	return nil
}

// abort ends the servers of a start that went wrong.
func (s *starter) abort(atOnce bool) error {
	var errs []error
	for _, srv := range s.servers {
		errs = append(errs, srv.stop(atOnce))
	}
	return errors.Join(errs...)
}

// create makes a new cluster.
func (s *starter) create(ctx context.Context) error {
	ports, err := freePorts(1 + s.cfg.Workers)
	if err != nil {
		return err
	}
	for i, port := range ports {
		s.servers = append(s.servers, s.home.server(nodeName(i), port))
	}
	s.cfg.Log.DebugContext(ctx, "making the data directories", "dir", s.home.dir, "servers", len(s.servers))
	if err := s.makeData(ctx); err != nil {
		return err
	}
	if err := s.launchAll(ctx); err != nil {
		return err
	}
	if err := s.each(ctx, s.createDatabase); err != nil {
		return err
	}
	if s.citus {
		s.cfg.Log.DebugContext(ctx, "making the servers one Citus cluster")
		if err := s.form(ctx); err != nil {
			return err
		}
	}
	return s.home.writeState(s.state())
}

// makeData makes the data directories: one by initdb, the others as its copies.
func (s *starter) makeData(ctx context.Context) error {
	password, err := s.home.passwords().choose()
	if err != nil {
		return err
	}
	programs, first := s.programs(), s.servers[0].dir
	if err := programs.initdb(ctx, s.servers[0], password); err != nil {
		return err
	}
	return s.each(ctx, func(ctx context.Context, srv *server) error {
		if srv.dir != first {
			if err := programs.copyData(ctx, first, srv); err != nil {
				return err
			}
		}
		if s.home.temporary {
			return nil
		}
		return programs.syncData(ctx, srv.dir)
	})
}

// layers returns the settings of all servers, the later ones above the earlier.
func (s *starter) layers(ctx context.Context) []map[string]string {
	layers := []map[string]string{baseSettings(), s.cfg.Settings}
	if s.citus {
		citus := citusSettings()
		maps.Copy(citus, s.programs().outputPlugins(ctx, s.servers[0].dir))
		layers = []map[string]string{baseSettings(), citus, s.cfg.Settings}
	}
	return layers
}

// launchAll configures and starts every server.
func (s *starter) launchAll(ctx context.Context) error {
	layers := s.layers(ctx)
	return s.each(ctx, func(ctx context.Context, srv *server) error {
		return s.launch(ctx, srv, layers)
	})
}

// launch starts srv, on another port if its own has been taken.
func (s *starter) launch(ctx context.Context, srv *server, layers []map[string]string) error {
	const tries = 10
	for try := 1; ; try++ {
		if err := s.home.writeSettings(srv, layers...); err != nil {
			return err
		}
		err := srv.launch(ctx, s.programs(), s.detached)
		if err == nil {
			s.cfg.Log.DebugContext(ctx, "server is ready", "name", srv.name, "port", srv.port)
			return nil
		}
		failed, ok := errors.AsType[*startError](err)
		if !ok || !failed.portTaken() || try == tries {
			return err
		}
		ports, err := freePorts(1)
		if err != nil {
			return err
		}
		srv.port = ports[0]
	}
}

// each runs fn for every server at once.
func (s *starter) each(ctx context.Context, fn func(context.Context, *server) error) error {
	g, ctx := errgroup.WithContext(ctx)
	for _, srv := range s.servers {
		g.Go(func() error { return fn(ctx, srv) })
	}
	return g.Wait()
}

func nodeName(i int) string {
	if i == 0 {
		return "coordinator"
	}
	return fmt.Sprintf("worker%d", i)
}
