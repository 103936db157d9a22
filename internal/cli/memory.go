package cli

import (
	"runtime"
	"runtime/debug"

	"shardload/loader"
)

// memoryLimit is what the process should need at most to load: what rows on their
// way may occupy, the program itself, a few chunks for each CPU, and for those as
// many records as are being read, decoded and encoded at once, if records may be
// longer than usual.
func memoryLimit(memory, maxRecord int64, procs int) int64 {
	const program, chunks = 64 << 20, 4 << 20
	longer := max(maxRecord-loader.DefaultMaxRecord, 0)
	return memory + program + int64(procs)*chunks + int64(3*procs+1)*longer
}

// limitMemory makes the garbage collector keep the process below limit, where it
// would let the heap grow to twice what is in use. A lower limit, as GOMEMLIMIT may
// set it, stays. The caller ends it with the function that is returned.
func limitMemory(limit int64) (end func()) {
	before := debug.SetMemoryLimit(-1) // asks only
	if before <= limit {
		return func() {}
	}
	debug.SetMemoryLimit(limit)
	return func() { debug.SetMemoryLimit(before) }
}

// limitMemory limits the memory of a load with these options.
func (opt *loadOptions) limitMemory() (end func()) {
	return limitMemory(memoryLimit(opt.memory, opt.maxRecord, runtime.GOMAXPROCS(0)))
}
