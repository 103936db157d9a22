package cli

import (
	"runtime/debug"
	"testing"
)

func TestMemoryLimit(t *testing.T) {
	const mib = 1 << 20
	for _, tt := range []struct {
		memory, maxRecord int64
		procs             int
		want              int64
	}{
		{256 * mib, 16 * mib, 2, 328 * mib}, // well below 100 MiB more
		{8 * mib, 4 * mib, 2, 80 * mib},
		{256 * mib, 16 * mib, 64, 576 * mib},
		{256 * mib, 116 * mib, 2, 1028 * mib}, // seven long records
	} {
		if got := memoryLimit(tt.memory, tt.maxRecord, tt.procs); got != tt.want {
			t.Errorf("memory %d, records of %d, %d CPUs: %d, want %d", tt.memory, tt.maxRecord, tt.procs, got, tt.want)
		}
	}
}

// The limit is that of a load, and never higher than the user's own.
func TestLimitMemory(t *testing.T) {
	now := func() int64 { return debug.SetMemoryLimit(-1) }
	defer debug.SetMemoryLimit(now())
	debug.SetMemoryLimit(1000 << 20)
	end := limitMemory(500 << 20)
	if now() != 500<<20 {
		t.Errorf("the limit is %d, want 500 MiB", now())
	}
	end()
	if now() != 1000<<20 {
		t.Errorf("the limit is %d afterwards, want what it was before, 1000 MiB", now())
	}
	end = limitMemory(2000 << 20)
	if now() != 1000<<20 {
		t.Errorf("the user's limit of 1000 MiB was raised to %d", now())
	}
	end()
}
