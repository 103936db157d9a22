package server

import (
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Parse understands a connection string as libpq does, with its service, its
// environment and its file of passwords. warn, if not nil, is told what was left
// aside. An error that is no *ParamError is the driver's, and may repeat pieces of
// the string.
func Parse(dsn string, warn func(string)) (*pgx.ConnConfig, error) {
	all := said(dsn)
	if all["sslmode"] == "require" && words(dsn)["sslmode"] == "" && all["requiressl"] != "" {
		dsn = withWord(dsn, "sslmode", "require")
	}
	if all["host"] == "" && all["hostaddr"] != "" {
		dsn = withWord(dsn, "host", all["hostaddr"])
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	p, err := readParams(all)
	if err != nil {
		return nil, err
	}
	if n := len(p.addresses); n > 0 && n != len(hosts(&cfg.Config)) {
		return nil, &ParamError{"hostaddr", all["hostaddr"], fmt.Sprintf("%d addresses for %d hosts", n, len(hosts(&cfg.Config)))}
	}
	cfg.LookupFunc = p.lookup(cfg.LookupFunc, hosts(&cfg.Config))
	if p.shuffle {
		shuffle(cfg)
	}
	if why := untrusted(passfile(all)); why != "" && all["password"] == "" && cfg.Password != "" {
		cfg.Password = "" // it can only be from there
		if warn != nil {
			warn(why)
		}
	}
	return cfg, nil
}

// withWord adds a word to a connection string that does not have it.
func withWord(dsn, key, value string) string {
	if !isURL(dsn) {
		return dsn + " " + keywordString(map[string]string{key: value})
	}
	value = strings.ReplaceAll(url.QueryEscape(value), "+", "%20")
	_, rest, _ := strings.Cut(dsn, "://")
	if i := strings.IndexAny(rest, "@/"); i >= 0 {
		rest = rest[i:] // a password may hold a question mark
	}
	if strings.Contains(rest, "?") {
		return dsn + "&" + key + "=" + value
	}
	return dsn + "?" + key + "=" + value
}

// shuffle changes the order in which the hosts are tried, once for all connections.
func shuffle(cfg *pgx.ConnConfig) {
	var groups [][]*way
	for _, w := range ways(&cfg.Config) {
		last := len(groups) - 1
		if last >= 0 && groups[last][0].Host == w.Host && groups[last][0].Port == w.Port {
			groups[last] = append(groups[last], w)
			continue
		}
		groups = append(groups, []*way{w})
	}
	rand.Shuffle(len(groups), func(i, j int) { groups[i], groups[j] = groups[j], groups[i] })
	var list []*way
	for _, g := range groups {
		list = append(list, g...)
	}
	setWays(&cfg.Config, list)
}

// passfile returns the file of passwords, "" for none.
func passfile(all map[string]string) string {
	if all["passfile"] != "" {
		return all["passfile"]
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	return filepath.Join(home, ".pgpass")
}

// untrusted says why the file of passwords is not read, "" if it is: as libpq has
// it, others must not be able to read it.
func untrusted(path string) string {
	info, err := os.Stat(path)
	switch {
	case path == "" || err != nil:
		return ""
	case !info.Mode().IsRegular():
		return fmt.Sprintf("password file %q is not a plain file; it is not read", path)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Sprintf("password file %q may be read by its group or others; it is not read (chmod 600 helps)", path)
	}
	return ""
}
