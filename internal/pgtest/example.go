package pgtest

import (
	"crypto/rand"
	"net/url"
	"strings"
)

// Example runs statements in a new database of a plain PostgreSQL server and returns its
// URL, for an Example, which has no testing.TB. What goes wrong is a panic. The database
// is gone with the server.
func Example(statements ...string) (dsn string) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	plain.need()
	must(plain.err)
	name := "example_" + strings.ToLower(rand.Text()[:12])
	must(execute(plain.dsn, "CREATE DATABASE "+name+" TEMPLATE template0"))
	u, err := url.Parse(plain.dsn)
	must(err)
	u.Path = "/" + name
	must(execute(u.String(), statements...))
	return u.String()
}
