package metrics_test

import (
	"io"
	"net"
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
	s.Ran("psql", "wide", "copy", 2.5)
	s.Ran("psql", "wide", "copy", 3.5)
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
		`shardload_run_seconds{arm="psql",part="copy",shape="wide"} 3.5`,
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

// A page in a browser gives its own site's name another address, and asks there.
func TestOnlyByName(t *testing.T) {
	s, err := metrics.Listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, port, err := net.SplitHostPort(s.Addr())
	if err != nil || strings.Contains(s.Addr(), "::") {
		t.Fatalf("it listens at %s, %v", s.Addr(), err)
	}
	if conn, err := net.Dial("tcp6", "[::1]:"+port); err == nil {
		conn.Close()
		t.Error("it listens at addresses of IPv6, too")
	}
	for host, want := range map[string]int{
		"127.0.0.1:" + port: 200, "127.0.0.1": 200, "[::1]:" + port: 200, "localhost:" + port: 200, "LOCALHOST": 200,
		"evil.example:" + port: 421, "evil.example": 421, "127.0.0.1.evil.example": 421, "localhost.evil.example": 421,
	} {
		req, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: status %d, want %d", host, resp.StatusCode, want)
		}
	}
}
