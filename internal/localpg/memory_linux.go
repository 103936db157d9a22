package localpg

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// memory returns the bytes of memory that this process may use: the machine's, or
// its container's if that is less.
func memory() int64 {
	total := int64(math.MaxInt64)
	var info syscall.Sysinfo_t
	if syscall.Sysinfo(&info) == nil {
		total = int64(info.Totalram) * int64(info.Unit)
	}
	limit, err := os.ReadFile("/sys/fs/cgroup/memory.max")
	if err != nil {
		return total
	}
	if n, err := strconv.ParseInt(strings.TrimSpace(string(limit)), 10, 64); err == nil {
		total = min(total, n)
	}
	return total
}
