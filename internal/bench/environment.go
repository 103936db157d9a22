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

	"shardload/internal/bench/meter"
	"shardload/internal/catalog"
	"shardload/internal/citus"
	"shardload/internal/server"
	"shardload/internal/term"
)

// An Environment is what explains the results: where they were measured, and with
// what. Version and Command are for the caller to fill in.
type Environment struct {
	Time    time.Time `json:"time"`
	Version string    `json:"version"` // of shardload
	Command string    `json:"command,omitempty"`
	Machine
	Servers
	Method
}

// A Machine is the computer on which the benchmark runs, and its loader.
type Machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu,omitempty"`
	Cores  int    `json:"cores"` // that this process may use
	Memory int64  `json:"memory_bytes,omitempty"`
	Go     string `json:"go"`
}

// Servers are what the rows are loaded into.
type Servers struct {
	Server     string   `json:"server"`
	Citus      string   `json:"citus,omitempty"`
	Nodes      []string `json:"nodes,omitempty"`
	ServerHere bool     `json:"server_on_this_machine"`
	TLS        bool     `json:"tls"`

	// Settings are the coordinator's; Others has, for each node whose settings
	// differ, those that do.
	Settings map[string]string            `json:"settings"`
	Others   map[string]map[string]string `json:"settings_of_nodes,omitempty"`
}

// A Method is how it was measured.
type Method struct {
	Table     string `json:"table"` // the statements that made it
	Seed      uint64 `json:"seed"`
	Warmup    int    `json:"warmup_runs"`
	Repeat    int    `json:"measured_runs"`
	Between   string `json:"between_runs"` // what was done there
	Clock     string `json:"clock"`        // what is timed of each run; "" in reports of before it was the same for all arms
	Simulated string `json:"simulated,omitempty"`
}

// describe returns the environment of conn's server and this machine.
func describe(ctx context.Context, conn *pgx.Conn, m *meter.Meter) (env Environment, err error) {
	env = Environment{Time: time.Now().UTC(), Machine: thisMachine()}
	env.Servers, err = serversOf(ctx, conn, m)
	return env, err
}

func thisMachine() Machine {
	return Machine{
		OS: runtime.GOOS, Arch: runtime.GOARCH, Go: runtime.Version(), Cores: runtime.GOMAXPROCS(0),
		CPU:    procValue("/proc/cpuinfo", "model name"),
		Memory: kilobytes(procValue("/proc/meminfo", "MemTotal")),
	}
}

// serversOf returns what conn's server is, and the nodes of its cluster.
func serversOf(ctx context.Context, conn *pgx.Conn, m *meter.Meter) (s Servers, err error) {
	info, err := catalog.Server(ctx, conn)
	if err != nil {
		return s, err
	}
	s.Server, s.Citus = "PostgreSQL "+info.VersionText, info.Citus
	s.ServerHere = m.Here()
	const tls = "SELECT coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()), false)"
	if err := server.Value(ctx, conn, &s.TLS, tls); err != nil {
		return s, err
	}
	if info.Citus != "" {
		nodes, err := citus.Nodes(ctx, conn)
		if err != nil {
			return s, err
		}
		for _, n := range nodes {
			s.Nodes = append(s.Nodes, fmt.Sprintf("%s (group %d, shards: %t)", n.Address(), n.Group, n.HasShards))
		}
	}
	s.Settings, s.Others, err = m.Settings(ctx)
	return s, err
}

// procValue returns the value of the first line "key : value" of a file in /proc,
// "" where there is none.
func procValue(file, key string) string {
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
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
		{"client", fmt.Sprintf("%s/%s, %d cores, %s, %s of memory", env.OS, env.Arch, env.Cores, env.CPU, term.Bytes(env.Memory))},
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
	add("timed", env.Clock)
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
