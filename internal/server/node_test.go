package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
)

// links has the ways to reach a coordinator.
var links = map[string]struct {
	link Link
	dsn  string // without its TLS
}{
	"socket":         {Link{local: true}, "host=/tmp user=me password=SECRET dbname=d"},
	"loopback":       {Link{local: true}, "host=127.0.0.1 user=me password=SECRET dbname=d"},
	"TCP":            {Link{}, "host=coordinator.example user=me password=SECRET dbname=d"},
	"TCP with TLS":   {Link{encrypted: true}, "host=coordinator.example user=me password=SECRET dbname=d"},
	"local with TLS": {Link{encrypted: true, local: true}, "host=localhost user=me password=SECRET dbname=d"},
}

// TestNodePassword holds to whom a password goes: whatever a false worker can do and
// asks for, by every way to the coordinator, with every sslmode.
func TestNodePassword(t *testing.T) {
	withoutEnvironment(t)
	const host = "worker.example"
	ca, stranger := newAuthority(t), newAuthority(t)
	certificates := map[string]*tls.Config{
		"no TLS": nil, "a stranger's": stranger.server(t, host), "another name's": ca.server(t, "other.example"), "its own": ca.server(t, host),
	}
	workers := map[string]*falseServer{}
	for cert, config := range certificates {
		for _, ask := range []string{"password", "md5", "scram"} {
			workers[cert+" "+ask] = newFalseServer(t, ask, config)
		}
	}
	for by, l := range links {
		for _, mode := range []string{"", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"} {
			if mode == "disable" && l.link.encrypted {
				continue
			}
			dsn := l.dsn
			if mode != "" {
				dsn += " sslmode=" + mode
			}
			if mode == "verify-ca" || mode == "verify-full" {
				dsn += " sslrootcert=" + ca.file
			}
			cfg, err := Parse(dsn, nil)
			if err != nil {
				t.Fatal(err)
			}
			cfg.LookupFunc = func(context.Context, string) ([]string, error) { return []string{"127.0.0.1"}, nil }
			for cert := range certificates {
				for _, ask := range []string{"password", "md5", "scram"} {
					clear, covered := meet(t, l.link, cfg, host, workers[cert+" "+ask])
					where := fmt.Sprintf("coordinator by %s, sslmode=%s, worker with %s asks for %s", by, mode, cert, ask)
					asked := mode == "require" || mode == "verify-ca" || mode == "verify-full"
					if clear > 0 && (asked || l.link.encrypted) {
						t.Errorf("%s: it was answered without TLS", where)
					}
					if clear > 0 && l.link.local && ask != "scram" && mode != "disable" {
						t.Errorf("%s: the password left this machine without TLS", where)
					}
					if covered > 0 && mode == "verify-ca" && cert == "a stranger's" ||
						covered > 0 && mode == "verify-full" && cert != "its own" {
						t.Errorf("%s: it was answered, and is not who it should be", where)
					}
					if cert == "its own" && mode != "disable" && mode != "allow" && covered == 0 {
						t.Errorf("%s: a true worker was not answered", where)
					}
					may := mode == "disable" || !asked && !l.link.encrypted && (!l.link.local || ask == "scram")
					if cert == "no TLS" && may && clear == 0 {
						t.Errorf("%s: a worker was not answered that may be", where)
					}
				}
			}
		}
	}
}

// meet connects to a false worker and returns how often it was answered.
func meet(t *testing.T, link Link, cfg *pgx.ConnConfig, host string, worker *falseServer) (clear, covered int) {
	t.Helper()
	worker.mu.Lock()
	worker.clear, worker.covered = 0, 0
	worker.mu.Unlock()
	target, err := link.Node(link.Keep(cfg), host, worker.port())
	if err != nil {
		t.Fatal(err)
	}
	if conn, err := target.Connect(t.Context()); err == nil {
		conn.Close(t.Context())
		t.Fatal("a false worker let us in")
	}
	worker.mu.Lock()
	defer worker.mu.Unlock()
	return worker.clear, worker.covered
}

// The user's words about TLS may stand in the string, the environment or a service.
func TestNodeWords(t *testing.T) {
	ca := newAuthority(t)
	for _, tt := range []struct {
		name, dsn, service string
		env                map[string]string
	}{
		{name: "keywords", dsn: "host=/tmp user=me sslmode=verify-full sslrootcert='" + ca.file + "'"},
		{name: "URL", dsn: "postgres://me:p%3Fw@/d?host=/tmp&sslmode=verify-full&sslrootcert=" + ca.file},
		{name: "URL, question mark in password", dsn: "postgres://me:x?sslmode=disable@%2Ftmp/d?sslmode=verify-full&sslrootcert=" + ca.file},
		{name: "URL, twice", dsn: "postgres://me@%2Ftmp/d?ssl=true&sslmode=verify-full&sslrootcert=" + ca.file},
		{name: "environment", dsn: "host=/tmp user=me", env: map[string]string{"PGSSLMODE": "verify-full", "PGSSLROOTCERT": ca.file}},
		{name: "service", dsn: "service=s", service: "[s]\nhost=/tmp\nuser=me\nsslmode=verify-full\nsslrootcert=" + ca.file + "\n"},
		{
			name: "service before environment", dsn: "service=s host=/tmp user=me", env: map[string]string{"PGSSLMODE": "disable"},
			service: "[s]\nsslmode=verify-full\nsslrootcert=" + ca.file + "\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			withoutEnvironment(t)
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			if tt.service != "" {
				file := filepath.Join(t.TempDir(), "services")
				if err := os.WriteFile(file, []byte(tt.service), 0o600); err != nil {
					t.Fatal(err)
				}
				t.Setenv("PGSERVICEFILE", file)
			}
			cfg, err := Parse(tt.dsn, nil)
			if err != nil {
				t.Fatal(err)
			}
			target, err := Link{local: true}.Node(cfg, "worker.example", 5432)
			if err != nil {
				t.Fatal(err)
			}
			c := target.configs[0]
			if len(target.configs) != 1 || len(c.Fallbacks) != 0 || c.TLSConfig == nil || c.TLSConfig.ServerName != "worker.example" ||
				c.TLSConfig.InsecureSkipVerify || c.TLSConfig.RootCAs == nil {
				t.Errorf("%d configs, %d fallbacks, TLS %+v", len(target.configs), len(c.Fallbacks), c.TLSConfig)
			}
		})
	}
}

// What a program has set by hand holds for nodes, too.
func TestNodeByHand(t *testing.T) {
	withoutEnvironment(t)
	cfg, err := Parse("host=coordinator.example user=me", nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.TLSConfig, cfg.Fallbacks = &tls.Config{ServerName: "coordinator.example"}, nil
	target, err := Link{encrypted: true}.Node(cfg, "worker.example", 5432)
	if err != nil {
		t.Fatal(err)
	}
	c := target.configs[0]
	if c.TLSConfig == nil || c.TLSConfig.InsecureSkipVerify || c.TLSConfig.ServerName != "worker.example" || len(c.Fallbacks) != 0 {
		t.Errorf("TLS %+v, %d fallbacks", c.TLSConfig, len(c.Fallbacks))
	}
}
