package bench

import (
	"context"
	"fmt"
	"strings"

	"shardload/internal/bench/clock"
)

// psql loads the file with one \copy, and does all duties itself, in one session.
func (r *rivals) psql(ctx context.Context, p Point) (outcome, error) {
	c := clock.Start()
	parts := map[string]*float64{"connect": &c.Connect, "empty": &c.Empty, "copy": &c.Copy, "statistics": &c.Statistics}
	var commands []string
	step := func(part string, command ...string) {
		commands = append(append(commands, command...), `\warn `+markIntro+part)
	}
	step("connect")
	if r.cfg.Replace {
		step("empty", "TRUNCATE "+r.table(p))
	}
	step("copy", r.copySQL(r.file(p).path, p, true))
	if !r.cfg.NoAnalyze {
		step("statistics", "ANALYZE "+r.table(p))
	}
	err := r.program(ctx, func(part string) { c.Lap(parts[part]) }, "psql", r.psqlArgs(commands...)...)
	c.Lap(&c.Finish)
	return outcome{Times: c.Times}, err
}

// copySQL is the command that loads a file.
func (r *rivals) copySQL(path string, p Point, header bool) string {
	return fmt.Sprintf(`\copy %s from '%s' with (format csv, header %t)`, r.table(p), strings.ReplaceAll(path, "'", "''"), header)
}

// psqlArgs are the arguments with which psql runs commands in turn.
func (r *rivals) psqlArgs(commands ...string) []string {
	args := []string{"-XqAt", "-v", "ON_ERROR_STOP=1", "-d", r.dsn}
	for _, command := range commands {
		args = append(args, "-c", command)
	}
	return args
}
