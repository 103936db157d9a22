package server

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// ParseFrom is Parse of what a source, such as a flag, has. Its errors name the source,
// never the string: it may hold a password, and in a string that cannot be parsed nobody
// knows where.
func ParseFrom(dsn, source string, warn func(string)) (*pgx.ConnConfig, error) {
	cfg, err := Parse(dsn, warn)
	if param, ok := errors.AsType[*ParamError](err); ok {
		return nil, fmt.Errorf("%s: %w", source, param)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %s", source, parseFailure(err))
	}
	return cfg, nil
}

// parseFailure says what a ParseConfigError is about. It repeats the driver's words
// only where they cannot hold a piece of the password: about a file, or a setting
// of TLS. A port that is no number may be the end of a password with an @.
func parseFailure(err error) string {
	parse, ok := errors.AsType[*pgconn.ParseConfigError](err)
	if !ok {
		return "not understood"
	}
	isURL := strings.HasPrefix(parse.ConnString, "postgres://") || strings.HasPrefix(parse.ConnString, "postgresql://")
	if cause, ok := errors.AsType[*os.PathError](err); ok {
		return cause.Error()
	}
	for _, known := range []string{"failed to read service", "failed to configure TLS"} {
		if strings.Contains(err.Error(), ": "+known) {
			return known + ": " + RootCause(err).Error()
		}
	}
	if isURL {
		return "not a valid URL; in a user name, password or database name, write : / ? # [ ] @ and % as %3A %2F %3F %23 %5B %5D %40 %25"
	}
	return "neither a URL (postgres://user@host:port/database) nor keywords (host=… port=… user=… dbname=…)"
}
