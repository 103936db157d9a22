package bench

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
	"shardload/internal/citus"
)

// An Environment is what explains the results: where they were measured, and with
// what. Version and Command are for the caller to fill in.
type Environment struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version"` // of shardload
	Command string    `json:"command,omitempty"`

	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu,omitempty"`
	Cores  int    `json:"cores"` // that this process may use
	Memory int64  `json:"memory_bytes,omitempty"`
	Go     string `json:"go"`

	Server     string   `json:"server"`
	Citus      string   `json:"citus,omitempty"`
	Nodes      []string `json:"nodes,omitempty"`
	ServerHere bool     `json:"server_on_this_machine"`
	TLS        bool     `json:"tls"`

	// Settings are the coordinator's; Others has, for each node whose settings
	// differ, those that do.
	Settings map[string]string            `json:"settings"`
	Others   map[string]map[string]string `json:"settings_of_nodes,omitempty"`

	Table     string `json:"table"` // the statements that made it
	Seed      uint64 `json:"seed"`
	Warmup    int    `json:"warmup_runs"`
	Repeat    int    `json:"measured_runs"`
	Between   string `json:"between_runs"` // what was done there
	Simulated string `json:"simulated,omitempty"`
}

// explaining are the settings that matter to a load.
var explaining = []string{
	"autovacuum", "checkpoint_timeout", "commit_delay", "fsync", "full_page_writes", "jit", "log_min_duration_statement", "log_statement",
	"maintenance_work_mem", "max_connections", "max_prepared_transactions", "max_wal_size", "min_wal_size", "shared_buffers", "ssl",
	"synchronous_commit", "synchronous_standby_names", "temp_buffers", "wal_buffers", "wal_compression", "wal_level", "work_mem",
	"citus.max_cached_conns_per_worker", "citus.max_adaptive_executor_pool_size", "citus.max_client_connections", "citus.max_shared_pool_size",
	"citus.multi_shard_modify_mode", "citus.node_conninfo", "citus.shard_count", "citus.use_citus_managed_tables",
}

// settingsSQL asks for the settings as one text, a line each.
func settingsSQL() string {
	return "SELECT coalesce(string_agg(name || '=' || pg_catalog.current_setting(name), E'\\n' ORDER BY name), '') FROM pg_catalog.pg_settings WHERE name IN ('" +
		strings.Join(explaining, "','") + "')"
}

// describe returns the environment of conn's server and this machine.
func describe(ctx context.Context, conn *pgx.Conn, m *meter) (env Environment, err error) {
	env = Environment{
		Time: time.Now().UTC(), OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), Cores: runtime.GOMAXPROCS(0),
		CPU:    procValue("/proc/cpuinfo", "model name"),
		Memory: kilobytes(procValue("/proc/meminfo", "MemTotal")),
	}
	server, err := catalog.Server(ctx, conn)
	if err != nil {
		return env, err
	}
	env.Server, env.Citus = "PostgreSQL "+server.VersionText, server.Citus
	env.ServerHere = len(m.postmasters) > 0
	const tls = "SELECT coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false)"
	if err := conn.QueryRow(ctx, tls).Scan(&env.TLS); err != nil {
		return env, err
	}
	if m.citus {
		nodes, err := citus.Nodes(ctx, conn)
		if err != nil {
			return env, err
		}
		for _, n := range nodes {
			env.Nodes = append(env.Nodes, fmt.Sprintf("%s (group %d, shards: %t)", n.Address(), n.Group, n.HasShards))
		}
	}
	return env, env.readSettings(ctx, m)
}

// readSettings reads the settings of all nodes.
func (env *Environment) readSettings(ctx context.Context, m *meter) error {
	ask := *m
	ask.citus = m.citus && m.blind == nil
	texts, err := ask.ask(ctx, settingsSQL())
	if err != nil {
		return fmt.Errorf("read the servers' settings: %w", err)
	}
	env.Settings = parseSettings(texts[0])
	for i, text := range texts[1:] {
		differ := parseSettings(text)
		maps.DeleteFunc(differ, func(name, value string) bool { return env.Settings[name] == value })
		if len(differ) > 0 {
			if env.Others == nil {
				env.Others = map[string]map[string]string{}
			}
			env.Others[fmt.Sprintf("worker %d", i+1)] = differ
		}
	}
	return nil
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

// procValue returns the value of the first line "key : value" of a file in /proc,
// "" where there is none.
func procValue(file, key string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, ok := strings.Cut(s.Text(), ":")
		if ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kilobytes understands "16384 kB".
func kilobytes(text string) int64 {
	var n int64
	if _, err := fmt.Sscanf(text, "%d kB", &n); err != nil {
		return 0
	}
	return n << 10
}

// Facts returns the environment as pairs of words, in order, for people.
func (env *Environment) Facts() [][2]string {
	where := "elsewhere"
	if env.ServerHere {
		where = "on this machine, which generates, encodes and sends, too"
	}
	facts := [][2]string{
		{"when", env.Time.Format(time.RFC3339)},
		{"shardload", env.Version + ", " + env.Go},
		{"client", fmt.Sprintf("%s/%s, %d cores, %s, %s of memory", env.OS, env.Arch, env.Cores, env.CPU, sizeText(env.Memory))},
		{"server", env.Server + " " + where},
	}
	add := func(name, value string) {
		if value != "" {
			facts = append(facts, [2]string{name, value})
		}
	}
	add("Citus", env.Citus)
	add("nodes", strings.Join(env.Nodes, "; "))
	add("TLS", map[bool]string{true: "yes", false: "no"}[env.TLS])
	add("simulated", env.Simulated)
	add("runs", fmt.Sprintf("%d of each arm after %d for warm-up, one of each arm in a round, in an order that changes", env.Repeat, env.Warmup))
	add("before each run", env.Between)
	add("seed", fmt.Sprint(env.Seed))
	add("command", env.Command)
	add("settings", settingsText(env.Settings))
	for _, node := range slices.Sorted(maps.Keys(env.Others)) {
		add("other on "+node, settingsText(env.Others[node]))
	}
	return facts
}

func settingsText(settings map[string]string) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		parts = append(parts, name+" = "+settings[name])
	}
	return strings.Join(parts, ", ")
}
