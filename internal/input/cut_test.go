package input

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"shardload/internal/pgcsv"
)

// TestInterruptedWait holds that an interrupt ends the wait for the writer of a pipe.
func TestInterruptedWait(t *testing.T) {
	t.Parallel()
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	stopped := errors.New("stopped")
	ended := make(chan error)
	go func() {
		_, _, err := CountRecords(ctx, Path(pipe), Reading{Dialect: pgcsv.CSV.Dialect(), MaxRecord: 1 << 20})
		ended <- err
	}()
	w, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits until it is opened to be read
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	cancel(stopped)
	if err := <-ended; !errors.Is(err, stopped) {
		t.Errorf("error %v", err)
	}
}
