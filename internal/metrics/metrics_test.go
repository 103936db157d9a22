package metrics_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"shardload/internal/metrics"
	"shardload/loader"
)

func TestMetrics(t *testing.T) {
	s, err := metrics.Listen(":0")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(s.Addr(), "127.0.0.1:") {
		t.Errorf("it listens at %s, want the loopback address", s.Addr())
	}
	observe := s.Observer("ads")
	for range 2 {
		observe(loader.StoredBatch{Node: "w:5432", Rows: 10, Rejected: 1, Bytes: 1000, Elapsed: 30 * time.Millisecond})
	}
	observe(loader.StoredBatch{Node: "v:5432"})
	s.Retried("ads")("w:5432")
	if err := s.Watch("ads", func() loader.Progress { return loader.Progress{BytesRead: 5, BytesTotal: 9} }); err != nil {
		t.Error(err)
	}
	resp, err := http.Get("http://" + s.Addr() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`shardload_rows_stored_total{node="w:5432",table="ads"} 20`,
		`shardload_bytes_sent_total{node="w:5432",table="ads"} 2000`,
		`shardload_batches_total{node="w:5432",table="ads"} 2`,
		`shardload_records_rejected_total{node="w:5432",table="ads"} 2`,
		`shardload_retries_total{node="w:5432",table="ads"} 1`,
		`shardload_retries_total{node="v:5432",table="ads"} 0`,
		`shardload_batch_seconds_bucket{node="w:5432",table="ads",le="0.025"} 0`,
		`shardload_batch_seconds_bucket{node="w:5432",table="ads",le="0.05"} 2`,
		`shardload_input_read_bytes{table="ads"} 5`,
		`shardload_input_size_bytes{table="ads"} 9`,
	} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("no %s in:\n%s", want, text)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get("http://" + s.Addr() + "/metrics"); err == nil {
		t.Error("it answers after its end")
	}
}

func TestListenRefuses(t *testing.T) {
	for _, addr := range []string{"9187", "localhost:nosuchport", "256.0.0.1:1"} {
		if s, err := metrics.Listen(addr); err == nil {
			t.Errorf("%s is listened at", s.Addr())
		}
	}
}
