package localpg

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_$]*(\.[A-Za-z_][A-Za-z0-9_$]*)?$`)

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
		"max_logical_replication_workers":    "32", // what a move that failed has left keeps one
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

const hbaFile = "pg_hba.conf"

// writeSettings configures a server. Its file stands above initdb's own, and beside
// the data, where the server cannot change it.
func (h *home) writeSettings(srv *server, layers ...map[string]string) error {
	all := map[string]string{"port": fmt.Sprint(srv.port)}
	for _, layer := range layers {
		maps.Copy(all, layer)
	}
	all["hba_file"] = h.path(hbaFile)
	var b strings.Builder
	fmt.Fprintf(&b, "include %s\n", quoteSetting(filepath.Join(srv.dir, "postgresql.conf")))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s = %s\n", name, quoteSetting(all[name]))
	}
	return errors.Join(
		h.own.Replace(srv.name+".conf", []byte(b.String()), 0o600, h.account.readable),
		h.own.Replace(hbaFile, []byte(hbaConf), 0o600, h.account.readable),
	)
}

// quoteSetting writes v as a string of postgresql.conf.
func quoteSetting(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `''`, "\n", `\n`).Replace(v) + "'"
}
