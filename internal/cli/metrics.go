package cli

import (
	"github.com/spf13/pflag"

	"shardload/internal/bench"
	"shardload/internal/metrics"
	"shardload/loader"
)

// metricsFlag adds the flag that says where metrics are served.
func metricsFlag(flags *pflag.FlagSet, addr *string) {
	flags.StringVar(addr, "metrics", "", "serve Prometheus metrics at http://ADDR/metrics while this runs: host:port, or :port on the loopback address")
}

// A watcher shows what loads do to Prometheus. All methods of a nil one do nothing.
type watcher struct{ server *metrics.Server }

// serveMetrics serves metrics at addr; it returns nil if that is empty.
func (c *console) serveMetrics(addr string) (*watcher, error) {
	if addr == "" {
		return nil, nil
	}
	server, err := metrics.Listen(addr)
	if err != nil {
		return nil, err
	}
	c.note("metrics are at http://%s/metrics", server.Addr())
	return &watcher{server}, nil
}

// observer returns what is to be told of the batches that loads into that table
// store.
func (w *watcher) observer(table string) func(loader.StoredBatch) {
	if w == nil {
		return nil
	}
	return w.server.Observer(table)
}

// retried returns what is to be told of the batches that such loads send again.
func (w *watcher) retried(table string) func(node string) {
	if w == nil {
		return nil
	}
	return w.server.Retried(table)
}

// ran makes known where the time of a benchmark's run went.
func (w *watcher) ran(r bench.Result) {
	if w == nil {
		return
	}
	for _, part := range r.Parts() {
		w.server.Ran(r.Arm, r.Shape, part.Name, part.Seconds)
	}
}

// progress makes known how far l has read.
func (w *watcher) progress(table string, l *loader.Loader) error {
	if w == nil {
		return nil
	}
	return w.server.Watch(table, l.Progress)
}

func (w *watcher) close() error {
	if w == nil {
		return nil
	}
	return w.server.Close()
}
