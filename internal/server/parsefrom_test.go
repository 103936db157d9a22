package server

import (
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// However a connection string is broken, no piece of its password is repeated.
func FuzzParseFrom(f *testing.F) {
	for _, dsn := range []string{
		"postgres://me:PASSWORD@db/app", "postgres://me:PASSWORD@db:port/app", "postgres://me:PASSWORD%zz@db/app",
		"postgres://me:@PASSWORD@db:/@x", "postgres://me:PASSWORD/@db", "postgre://me:PASSWORD@db",
		"host=db password=PASSWORD port=x", "host=db password='PASSWORD", "password=PASSWORD=x =", "password = PASSWORD sslmode=x",
		"postgres://db?password=PASSWORD&sslmode=x", "postgres://db?sslpassword=PASSWORD&sslcert=x&sslkey=y",
		"service=x servicefile=y password=PASSWORD",
	} {
		f.Add(dsn)
	}
	namesFile := regexp.MustCompile(`(cert|key|file|service)[^=]*=[^=]*PASSWORD`)
	f.Fuzz(func(t *testing.T, dsn string) {
		if namesFile.MatchString(dsn) {
			return // the name of a file is no password
		}
		if _, err := pgx.ParseConfig(dsn); err == nil {
			return
		}
		_, err := ParseFrom(dsn, "--dsn", nil)
		if err == nil {
			t.Fatalf("%q: no error", dsn)
		}
		if strings.Contains(err.Error(), "PASSWORD") {
			t.Errorf("%q: the error repeats the password: %v", dsn, err)
		}
		if strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: more than a line: %v", dsn, err)
		}
	})
}
