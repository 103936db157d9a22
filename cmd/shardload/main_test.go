package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
)

const commandEnv = "SHARDLOAD_TEST_IS_THE_COMMAND"

// TestMain is the command itself where the environment says so.
func TestMain(m *testing.M) {
	if os.Getenv(commandEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// The end of the terminal, and of whoever reads what is written, stop the command as
// Ctrl-C does: it cleans up, and stays quiet.
func TestHangupAndClosedPipe(t *testing.T) {
	// Who runs the tests may ignore it, as nohup does, and commands would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	for _, test := range []struct {
		name string
		stop func(cmd *exec.Cmd, stdout io.Closer) error
		said string
		code int // -1: ended by SIGPIPE
	}{
		{"hangup", func(cmd *exec.Cmd, _ io.Closer) error { return cmd.Process.Signal(syscall.SIGHUP) }, "shardload: interrupted\n", 130},
		{"closed pipe", func(_ *exec.Cmd, stdout io.Closer) error { return stdout.Close() }, "shardload: interrupted\n", -1},
	} {
		cmd, r, stdout, stderr := endless(t)
		if err := test.stop(cmd, stdout); err != nil {
			t.Fatal(err)
		}
		_, _ = r.WriteTo(io.Discard) // to its end, or until it is closed
		_ = cmd.Wait()               // the status follows
		status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
		if !ok || cmd.ProcessState.ExitCode() != test.code || test.code < 0 && status.Signal() != syscall.SIGPIPE || stderr.String() != test.said {
			t.Errorf("%s: %v, %q", test.name, cmd.ProcessState, stderr.String())
		}
	}
}

// nohup keeps a command from hearing of the end of its terminal.
func TestIgnoredHangup(t *testing.T) {
	signal.Ignore(syscall.SIGHUP) // inherited
	cmd, r, _, _ := endless(t)
	signal.Reset(syscall.SIGHUP)
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if n, err := io.CopyN(io.Discard, r, 64<<20); err != nil {
		t.Errorf("it ended after %d bytes more", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // says that it was killed
}

// endless starts a command whose output has no end, and waits for its beginning.
func endless(t *testing.T) (*exec.Cmd, *bufio.Reader, io.Closer, *strings.Builder) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "generate", "--stdout", "--table", "ads", "--size", "1TB")
	cmd.Env = append(os.Environ(), commandEnv+"=1")
	stderr := new(strings.Builder)
	cmd.Stderr = stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stdout)
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return cmd, r, stdout, stderr
}

// A signal that comes twice at once is one: the command stops cleanly.
func TestSignalAndItsEcho(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, "generate", "--stdout", "--table", "ads", "--size", "1TB")
	cmd.Env = append(os.Environ(), commandEnv+"=1")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(stdout)
	if _, err := r.ReadString('\n'); err != nil { // it runs
		t.Fatal(err)
	}
	drained := make(chan error)
	go func() { _, err := r.WriteTo(io.Discard); drained <- err }()
	for range 50 {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			break // it has ended
		}
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // the status follows
	if got := cmd.ProcessState.ExitCode(); got != 130 || !strings.HasSuffix(stderr.String(), "shardload: interrupted\n") {
		t.Errorf("%v, %q; want status 130, interrupted", cmd.ProcessState, stderr.String())
	}
}
