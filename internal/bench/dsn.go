package bench

import (
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

var keywordPassword = regexp.MustCompile(`(?i)\bpassword\s*=\s*('(?:[^'\\]|\\.)*'|(?:\\.|[^\s\\])*)`)

// plainURL returns the URL of cfg's server for programs that understand no more of
// one than user, host, port and database.
func plainURL(cfg *pgx.ConnConfig) string {
	u := url.URL{Scheme: "postgresql", User: url.User(cfg.User), Path: "/" + cfg.Database,
		Host: net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))}
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
	query.Del("passfile")
	u.RawQuery = strings.ReplaceAll(query.Encode(), "+", "%20") // libpq does not read + as a blank
	return u.String()
}
