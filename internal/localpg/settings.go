package localpg

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$`)

// settingsFile is included by postgresql.conf and written anew at each start.
const settingsFile = "shardload.conf"

// Nobody but the owner of the password gets in, and only from this machine.
const hbaConf = `# TYPE  DATABASE  USER  ADDRESS       METHOD
host    all       all   127.0.0.1/32  scram-sha-256
host    all       all   all           reject
local   all       all                 reject
`

// baseSettings are those of every server. Durability stays as PostgreSQL has it:
// a load that is measured here must pay for its commits.
func baseSettings() map[string]string {
	return map[string]string{
		"listen_addresses":        loopback,
		"unix_socket_directories": "", // a socket's path must be shorter than 108 bytes, and nobody needs it
		"password_encryption":     "scram-sha-256",
		"max_connections":         "300",
		"shared_buffers":          fmt.Sprintf("%dMB", sharedBuffers(memory())>>20),
		"max_wal_size":            "4GB", // a bulk load should not be one checkpoint after another
		"timezone":                "UTC",
		"lc_messages":             "C", // errors are searched for what they say
		"logging_collector":       "off",
		"log_line_prefix":         "%m [%p] ",
		"cluster_name":            "shardload",
	}
}

// citusSettings are those of the servers of a Citus cluster besides.
func citusSettings() map[string]string {
	return map[string]string{
		"shared_preload_libraries":           "citus",
		"max_prepared_transactions":          "300", // two-phase commits of every connection
		"wal_level":                          "logical",
		"max_worker_processes":               "64", // shard moves run on logical replication
		"max_replication_slots":              "64",
		"max_wal_senders":                    "64",
		"citus.node_conninfo":                "sslmode=disable",
		"citus.local_hostname":               loopback,
		"citus.enable_statistics_collection": "off",
	}
}

// sharedBuffers returns the bytes of shared memory for each server of a machine.
func sharedBuffers(memory int64) int64 {
	return min(max(memory/16, 32<<20), 256<<20)
}

// writeSettings configures the server whose data is in dir.
func (h *home) writeSettings(dir string, port int, layers ...map[string]string) error {
	all := map[string]string{"port": fmt.Sprint(port)}
	for _, layer := range layers {
		maps.Copy(all, layer)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s = %s\n", name, quoteSetting(all[name]))
	}
	return errors.Join(
		writePrivate(filepath.Join(dir, settingsFile), b.String(), h.account),
		writePrivate(filepath.Join(dir, "pg_hba.conf"), hbaConf, h.account),
	)
}

// quoteSetting writes v as a string of postgresql.conf.
func quoteSetting(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", `\n`).Replace(v) + "'"
}

// includeSettings makes the server whose data is in dir read settingsFile.
func includeSettings(dir string) error {
	f, err := os.OpenFile(filepath.Join(dir, "postgresql.conf"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "\ninclude_if_exists = '%s'\n", settingsFile)
	return errors.Join(err, f.Close())
}

// outputPlugins returns the setting that lets Citus decode changes, which its
// non-blocking moves and splits of shards need. Only newer minor releases know and
// require it: nil for the others.
func (h *home) outputPlugins(ctx context.Context, inst Installation, dir string) map[string]string {
	const name = "output_plugin_libraries"
	out, err := h.command(ctx, inst.program("postgres"), "-D", dir, "-C", name).Output()
	if err != nil {
		return nil
	}
	value := strings.TrimSpace(string(out))
	if !strings.Contains(value, "citus") {
		value = strings.TrimPrefix(value+", citus", ", ")
	}
	return map[string]string{name: value}
}
