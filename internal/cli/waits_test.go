package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"shardload/internal/cli"
	"shardload/internal/pgtest"
)

// A heard is what a command says, while it says it.
type heard struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (h *heard) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.Write(p)
}

func (h *heard) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.text.String()
}

// status that waits for a lock on the table of jobs says so, and who has it.
func TestStatusSaysForWhom(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	execute(t, dsn, "CREATE TABLE events (id int)")
	main := func(in string, said *heard, args ...string) int {
		return cli.Main(t.Context(), cli.Env{
			Args: append(args, "--dsn", dsn), Stdin: strings.NewReader(in), Stdout: said, Stderr: said,
			Getenv: func(string) string { return "" },
		})
	}
	if said := new(heard); main("1\n", said, "load", "--table", "events", "--header", "no", "-") != 0 {
		t.Fatal(said)
	}
	holder := pgtest.Connect(t, dsn)
	if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE shardload_jobs"); err != nil {
		t.Fatal(err)
	}
	said, ended := new(heard), make(chan int, 1)
	go func() { ended <- main("", said, "status") }()
	want := fmt.Sprintf("waiting for a lock on public.shardload_jobs that process %d of ", holder.PgConn().PID())
	for deadline := time.Now().Add(time.Minute); !strings.Contains(said.String(), want); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it has not said %q:\n%s", want, said)
		}
	}
	if _, err := holder.Exec(context.Background(), "ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != 0 {
		t.Errorf("status %d:\n%s", code, said)
	}
}
