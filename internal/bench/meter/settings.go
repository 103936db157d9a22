package meter

import (
	"context"
	"fmt"
	"maps"
	"strings"
)

// explaining are the settings that matter to a load.
var explaining = []string{
	"autovacuum", "checkpoint_timeout", "commit_delay", "fsync", "full_page_writes", "jit", "log_min_duration_statement", "log_statement",
	"maintenance_work_mem", "max_connections", "max_prepared_transactions", "max_wal_size", "min_wal_size", "shared_buffers", "ssl",
	"synchronous_commit", "synchronous_standby_names", "temp_buffers", "wal_buffers", "wal_compression", "wal_level", "work_mem",
	"citus.max_cached_conns_per_worker", "citus.max_adaptive_executor_pool_size", "citus.max_client_connections", "citus.max_shared_pool_size",
	"citus.multi_shard_modify_mode", "citus.node_conninfo", "citus.shard_count", "citus.use_citus_managed_tables",
}

// settingsSQL asks for the settings as one text, a line each. It may run under any
// search path, as what workers are asked does.
func settingsSQL() string {
	return "SELECT coalesce(pg_catalog.string_agg(pg_catalog.concat(name, '=', pg_catalog.current_setting(name)), pg_catalog.chr(10) ORDER BY name), '')" +
		" FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) ANY ('{" + strings.Join(explaining, ",") + "}'::pg_catalog.text[])"
}

// Settings returns the coordinator's settings that explain how fast rows are stored, and
// those of the other nodes that differ, by node.
func (m *Meter) Settings(ctx context.Context) (settings map[string]string, others map[string]map[string]string, err error) {
	ask := *m
	ask.citus = m.citus && m.Blind == nil
	texts, err := ask.Ask(ctx, settingsSQL())
	if err != nil {
		return nil, nil, fmt.Errorf("read the servers' settings: %w", err)
	}
	settings = parseSettings(texts[0])
	for i, text := range texts[1:] {
		differ := parseSettings(text)
		maps.DeleteFunc(differ, func(name, value string) bool { return settings[name] == value })
		if len(differ) > 0 {
			if others == nil {
				others = map[string]map[string]string{}
			}
			others[fmt.Sprintf("worker %d", i+1)] = differ
		}
	}
	return settings, others, nil
}

func parseSettings(text string) map[string]string {
	settings := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok {
			settings[name] = value
		}
	}
	return settings
}
