package bench

import (
	"errors"
	"net"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"

	"shardload/internal/server"

	"github.com/jackc/pgx/v5"
)

var keywordPassword = regexp.MustCompile(`(?i)\b(?:ssl)?password\s*=\s*('(?:[^'\\]|\\.)*'|(?:\\.|[^\s\\])*)`)

// plainURL returns the URL of cfg's server for programs that understand no more of
// one than user, host, port and database.
func plainURL(cfg *pgx.ConnConfig) string {
	u := url.URL{
		Scheme: "postgresql", User: url.User(cfg.User), Path: "/" + cfg.Database,
		Host: net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))),
	}
	return u.String()
}

// withoutPassword returns a connection string without the password, or the file of
// it, so that it can be an argument of a program: whoever lists processes reads it.
func withoutPassword(dsn string) string {
	if !strings.HasPrefix(dsn, "postgres://") && !strings.HasPrefix(dsn, "postgresql://") {
		return strings.TrimSpace(keywordPassword.ReplaceAllString(dsn, ""))
	}
	u, err := url.Parse(dsn)
	if err != nil {
		return "" // what cannot be parsed was refused before
	}
	if u.User != nil {
		u.User = url.User(u.User.Username())
	}
	query := u.Query()
	query.Del("password")
	query.Del("sslpassword")
	query.Del("passfile")
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // libpq does not read + as a blank
	return u.String()
}

// secrets returns the variables by which other programs learn the passwords that
// withoutPassword has left out. libpq has none for that of the key for TLS: it is read
// from a service in a file in dir that nobody else may read.
func secrets(dir string, cfg Config) ([]string, error) {
	env := []string{"PGPASSWORD=" + cfg.Conn.Password}
	key := server.KeyPassword(cfg.DSN)
	if key == "" || strings.ContainsAny(key, "\r\n") {
		return env, nil
	}
	f, err := os.CreateTemp(dir, "service-") // mode 0600
	if err != nil {
		return nil, err
	}
	_, err = f.WriteString("[shardload]\nsslpassword=" + key + "\n")
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return append(env, "PGSERVICEFILE="+f.Name(), "PGSERVICE=shardload"), nil
}
