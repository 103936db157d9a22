package server

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgservicefile"
)

// environment has libpq's variables and the keywords that they stand for. Those of
// libpq that are settings of the server are here, too.
var environment = map[string]string{
	"PGHOST": "host", "PGHOSTADDR": "hostaddr", "PGPORT": "port", "PGDATABASE": "dbname", "PGUSER": "user",
	"PGPASSWORD": "password", "PGPASSFILE": "passfile", "PGREQUIREAUTH": "require_auth", "PGCHANNELBINDING": "channel_binding",
	"PGSERVICE": "service", "PGSERVICEFILE": "servicefile", "PGOPTIONS": "options", "PGAPPNAME": "application_name",
	"PGSSLMODE": "sslmode", "PGREQUIRESSL": "requiressl", "PGSSLCOMPRESSION": "sslcompression", "PGSSLCERT": "sslcert",
	"PGSSLKEY": "sslkey", "PGSSLCERTMODE": "sslcertmode", "PGSSLROOTCERT": "sslrootcert", "PGSSLCRL": "sslcrl",
	"PGSSLCRLDIR": "sslcrldir", "PGSSLSNI": "sslsni", "PGREQUIREPEER": "requirepeer", "PGSSLPASSWORD": "sslpassword",
	"PGSSLMINPROTOCOLVERSION": "ssl_min_protocol_version", "PGSSLMAXPROTOCOLVERSION": "ssl_max_protocol_version",
	"PGSSLNEGOTIATION": "sslnegotiation", "PGGSSENCMODE": "gssencmode", "PGKRBSRVNAME": "krbsrvname", "PGGSSLIB": "gsslib",
	"PGGSSDELEGATION": "gssdelegation", "PGCONNECT_TIMEOUT": "connect_timeout", "PGCLIENTENCODING": "client_encoding",
	"PGTARGETSESSIONATTRS": "target_session_attrs", "PGLOADBALANCEHOSTS": "load_balance_hosts",
	"PGMINPROTOCOLVERSION": "min_protocol_version", "PGMAXPROTOCOLVERSION": "max_protocol_version",
	"PGDATESTYLE": "datestyle", "PGTZ": "timezone", "PGGEQO": "geqo",
}

// said returns what the user says of the server, by libpq's keywords: in the
// connection string, else in the service that it names, else in the environment.
// Of a string that cannot be understood it returns what can; pgx refuses those.
func said(connString string) map[string]string {
	all := map[string]string{}
	for name, keyword := range environment {
		if value := os.Getenv(name); value != "" {
			all[keyword] = value
		}
	}
	own := words(connString)
	maps.Copy(all, own)
	if name := all["service"]; name != "" {
		maps.Copy(all, service(all["servicefile"], name))
		maps.Copy(all, own)
	}
	if all["sslmode"] == "" && strings.HasPrefix(all["requiressl"], "1") {
		all["sslmode"] = "require" // as older versions of libpq said it
	}
	return all
}

// service returns what a file of services says of one. "" is the user's own file.
func service(path, name string) map[string]string {
	if home, err := os.UserHomeDir(); path == "" && err == nil {
		path = filepath.Join(home, ".pg_service.conf")
	}
	file, err := pgservicefile.ReadServicefile(path)
	if err != nil {
		return nil
	}
	found, err := file.GetService(name)
	if err != nil {
		return nil
	}
	return found.Settings
}

// words returns what a connection string says, by libpq's keywords. Of what a URL says
// before its parameters only the password and the hosts are among them.
func words(connString string) map[string]string {
	if isURL(connString) {
		return queryWords(connString)
	}
	return keywordWords(connString)
}

func isURL(connString string) bool {
	return strings.HasPrefix(connString, "postgres://") || strings.HasPrefix(connString, "postgresql://")
}

// queryWords returns the parameters of a URL. A + in them is no blank.
func queryWords(connString string) map[string]string {
	found := map[string]string{}
	_, rest, _ := strings.Cut(connString, "://")
	if i := strings.IndexAny(rest, "@/"); i >= 0 && rest[i] == '@' {
		if _, password, _ := strings.Cut(rest[:i], ":"); password != "" {
			found["password"] = password // as it stands there
		}
		rest = rest[i+1:] // a password may hold a question mark
	}
	place, query, _ := strings.Cut(rest, "?")
	if host, _, _ := strings.Cut(place, "/"); host != "" {
		found["host"] = host // with its port
	}
	for pair := range strings.SplitSeq(query, "&") {
		k, v, _ := strings.Cut(pair, "=")
		key, keyErr := url.PathUnescape(k)
		value, valueErr := url.PathUnescape(v)
		switch {
		case keyErr != nil || valueErr != nil || key == "":
		case key == "ssl" && value == "true":
			found["sslmode"] = "require" // as JDBC says it
		default:
			found[key] = strings.Trim(value, " ")
		}
	}
	return found
}

// blanks separate the words of a keyword string.
const blanks = " \t\n\r\v\f"

// keywordWords returns the words of a keyword string.
func keywordWords(s string) map[string]string {
	found := map[string]string{}
	for {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			return found
		}
		rest = strings.TrimLeft(rest, blanks)
		stop := blanks
		if strings.HasPrefix(rest, "'") {
			rest, stop = rest[1:], "'"
		}
		var value strings.Builder
		i := 0
		for ; i < len(rest) && strings.IndexByte(stop, rest[i]) < 0; i++ {
			if rest[i] == '\\' {
				if i++; i == len(rest) {
					break
				}
			}
			value.WriteByte(rest[i])
		}
		found[strings.Trim(key, blanks)] = value.String()
		s = rest[min(i+1, len(rest)):]
	}
}

// keywordString writes words as a keyword string.
func keywordString(words map[string]string) string {
	var b strings.Builder
	for key, value := range words {
		fmt.Fprintf(&b, "%s='%s' ", key, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(value))
	}
	return b.String()
}

// KeyPassword returns the password of the user's key for TLS that a connection string
// or the environment has, "" for none or where the service has it. Programs that use
// libpq must not be given it as an argument.
func KeyPassword(connString string) string {
	if own := words(connString)["sslpassword"]; own != "" {
		return own
	}
	return os.Getenv("PGSSLPASSWORD")
}
