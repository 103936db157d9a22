package localpg

import (
	"strings"

	"shardload/internal/regular"
)

// logSince returns what was appended to a log after offset.
func logSince(name string, offset int64) string {
	text, err := regular.ReadFile(name)
	if err != nil || int64(len(text)) < offset {
		return ""
	}
	return string(text[offset:])
}

// lastLines returns the end of a program's output as it is added to an error.
func lastLines(out string) string {
	const most = 8
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) > most {
		lines = lines[len(lines)-most:]
	}
	if lines[0] == "" {
		return ""
	}
	return ":\n\t" + strings.Join(lines, "\n\t")
}
