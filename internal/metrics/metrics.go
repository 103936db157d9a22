// Package metrics shows what a load does to Prometheus.
package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"shardload/loader"
)

// A Server answers GET /metrics. It must be closed.
type Server struct {
	listener net.Listener
	http     *http.Server
	done     chan struct{}

	rows, rejects, filtered, bytes, batches, retries *prometheus.CounterVec
	seconds                                          *prometheus.HistogramVec
	runs                                             *prometheus.GaugeVec
	registry                                         *prometheus.Registry
}

// buckets are the upper bounds of a batch's latency in seconds.
var buckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// Listen serves metrics at addr, host:port. Without a host it is the loopback
// address: what is loaded where is nobody else's business unless the user says so.
func Listen(addr string) (*Server, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("metrics address %q: want host:port or :port", addr)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	s := &Server{done: make(chan struct{}), registry: prometheus.NewRegistry()}
	network := "tcp"
	if ip := net.ParseIP(host); ip != nil && ip.To4() != nil {
		network = "tcp4" // 0.0.0.0 would be every address of IPv6, too
	}
	if s.listener, err = net.Listen(network, net.JoinHostPort(host, port)); err != nil {
		return nil, fmt.Errorf("serve metrics: %w", err)
	}
	labels := []string{"table", "node"}
	counter := func(name, help string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "shardload", Name: name, Help: help}, labels)
	}
	s.rows = counter("rows_stored_total", "Rows that the server has stored.")
	s.bytes = counter("bytes_sent_total", "Bytes of these rows as they were sent.")
	s.rejects = counter("records_rejected_total", "Records that were kept aside, by the batch that counts them.")
	s.filtered = counter("records_filtered_total", "Records that the load's condition left out.")
	s.batches = counter("batches_total", "Batches, each a transaction, that the server has stored.")
	s.retries = counter("retries_total", "Batches that were sent again, because the server failed or no longer had their shard.")
	s.seconds = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "shardload", Name: "batch_seconds",
		Help: "Time from a batch's BEGIN to the answer to its COMMIT.", Buckets: buckets,
	}, labels)
	s.runs = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Namespace: "shardload", Name: "run_seconds",
		Help: "Parts of the last measured run of a benchmark's arm, which add up to all of it.",
	}, []string{"arm", "shape", "part"})
	s.registry.MustRegister(s.runs, s.rows, s.rejects, s.filtered, s.bytes, s.batches, s.retries, s.seconds)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry, promhttp.HandlerOpts{}))
	s.http = &http.Server{Handler: onlyFor(host, mux), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(s.listener) // returns when the server is closed
	}()
	return s, nil
}

// onlyFor lets those requests through to next that name this server by an address, as
// localhost, by the machine's name or by host. A page in a browser on this machine
// could otherwise give its own site's name our address, and read what is here.
func onlyFor(host string, next http.Handler) http.Handler {
	machine, _ := os.Hostname()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.Host
		if h, _, err := net.SplitHostPort(name); err == nil {
			name = h
		}
		name = strings.Trim(name, "[]")
		named := slices.ContainsFunc([]string{"localhost", machine, host}, func(s string) bool { return s != "" && strings.EqualFold(s, name) })
		if !named && net.ParseIP(name) == nil {
			http.Error(w, "this server is not known by that name", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Addr returns the address that the server listens at.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Observer returns a function for loader.Config.Observe of loads into that table.
func (s *Server) Observer(table string) func(loader.StoredBatch) {
	return func(b loader.StoredBatch) {
		s.rows.WithLabelValues(table, b.Node).Add(float64(b.Rows))
		s.rejects.WithLabelValues(table, b.Node).Add(float64(b.Rejected))
		s.filtered.WithLabelValues(table, b.Node).Add(float64(b.Filtered))
		s.retries.WithLabelValues(table, b.Node).Add(0) // so that it is there before the first
		s.bytes.WithLabelValues(table, b.Node).Add(float64(b.Bytes))
		s.batches.WithLabelValues(table, b.Node).Inc()
		s.seconds.WithLabelValues(table, b.Node).Observe(b.Elapsed.Seconds())
	}
}

// Retried returns a function for loader.Config.Retried of loads into that table.
func (s *Server) Retried(table string) func(node string) {
	return func(node string) { s.retries.WithLabelValues(table, node).Inc() }
}

// Ran makes known how long a part of the last run of a benchmark's arm took.
func (s *Server) Ran(arm, shape, part string, seconds float64) {
	s.runs.WithLabelValues(arm, shape, part).Set(seconds)
}

// Watch makes how much of the input has been read, and how much there is, known
// under the name of the table. progress may be called at any time until the Server
// is closed.
func (s *Server) Watch(table string, progress func() loader.Progress) error {
	gauge := func(name, help string, value func(loader.Progress) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "shardload", Name: name, Help: help,
			ConstLabels: prometheus.Labels{"table": table},
		}, func() float64 { return value(progress()) })
	}
	return errors.Join(
		s.registry.Register(gauge("input_read_bytes", "How far the current input has been read, as it is stored.",
			func(p loader.Progress) float64 { return float64(p.BytesRead) })),
		s.registry.Register(gauge("input_size_bytes", "The size of the current input as it is stored, -1 if unknown.",
			func(p loader.Progress) float64 { return float64(p.BytesTotal) })),
	)
}

// closeTimeout is how long an answer under way may take.
const closeTimeout = time.Second

// Close ends the server.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, s.http.Close())
	}
	<-s.done
	return err
}
