package generate

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// The law's arithmetic is the same on every machine: where processors have fused
// multiply-add, which rounds once instead of twice, the compiler must not use it.
// All of it is in law.go.
func TestNoFusedMultiplyAdd(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles for another processor")
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", os.DevNull, "-gcflags=-S", "law.go")
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	if !regexp.MustCompile(`\bFMULD\b`).Match(out) {
		t.Fatal("the listing has no multiplication: is the arithmetic elsewhere?")
	}
	if fused := regexp.MustCompile(`.*\bFN?M(?:ADD|SUB)D\b.*`).Find(out); fused != nil {
		t.Errorf("fused: %s", fused)
	}
}
