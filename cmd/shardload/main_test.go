package main

import (
	"bufio"
	"io"
	"os"
	"os/exec"
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
