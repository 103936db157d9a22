//go:build !linux

package localpg

// memory returns what the smallest machine in use has; asking is different on
// every system.
func memory() int64 { return 4 << 30 }
