package server

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/fault"
)

// startup returns what a connection under dsn would send to the server as it begins.
func startup(t *testing.T, dsn string) map[string]string {
	t.Helper()
	cfg, err := Parse(dsn, nil)
	if err != nil {
		t.Fatalf("%s: %v", dsn, err)
	}
	c, err := prepared(cfg)
	if err != nil {
		t.Fatalf("%s: %v", dsn, err)
	}
	return c.RuntimeParams
}

// TestEveryParam goes through libpq's parameters: none reaches the server that is no
// setting of it, and what cannot be given is refused.
func TestEveryParam(t *testing.T) {
	withoutEnvironment(t)
	for _, word := range []string{
		"hostaddr=127.0.0.1", "passfile=/nowhere", "require_auth=scram-sha-256", "channel_binding=require", "connect_timeout=3",
		"client_encoding=LATIN1", "client_encoding=auto", "fallback_application_name=shardload", "keepalives=1", "keepalives=0", "keepalives_idle=10",
		"keepalives_interval=10", "keepalives_count=3", "tcp_user_timeout=1000", "replication=false", "gssencmode=disable",
		"gssencmode=prefer", "sslmode=require", "requiressl=0", "sslnegotiation=postgres", "sslcompression=0", "sslcertmode=allow",
		"sslsni=0", "ssl_min_protocol_version=TLSv1.3", "ssl_max_protocol_version=TLSv1.3", "min_protocol_version=3.0",
		"max_protocol_version=3.0", "krbsrvname=postgres", "gsslib=gssapi", "gssdelegation=0", "target_session_attrs=any",
		"load_balance_hosts=random", "load_balance_hosts=disable", "sslkeylogfile=x", "sslpassword=x",
	} {
		want := map[string]string{"application_name": "shardload", "client_encoding": "UTF8"}
		if diff := cmp.Diff(want, startup(t, "host=db user=me "+word)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", word, diff)
		}
		if diff := cmp.Diff(want, startup(t, "postgres://me@db/d?"+word)); diff != "" {
			t.Errorf("URL with %s (-want +got):\n%s", word, diff)
		}
	}
	for _, word := range []string{
		"gssencmode=require", "sslcrl=x", "sslcrldir=x", "replication=true", "replication=database", "scram_client_key=SECRET",
		"scram_server_key=SECRET", "oauth_issuer=x", "oauth_client_id=x", "oauth_client_secret=SECRET", "load_balance_hosts=x",
		"keepalives=x", "keepalives_idle=x", "tcp_user_timeout=x", "ssl_min_protocol_version=x", "hostaddr=127.0.0.1,127.0.0.2",
	} {
		_, err := Parse("host=db user=me "+word, nil)
		param, ok := errors.AsType[*ParamError](err)
		name, _, _ := strings.Cut(word, "=")
		if !ok || param.Name != name || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", word, err)
		}
	}
}

// What libpq reads in the environment is read here.
func TestEnvironment(t *testing.T) {
	for _, tt := range []struct {
		env, value, dsn string
		want            map[string]string
	}{
		{"PGDATESTYLE", "ISO, DMY", "host=db", map[string]string{"datestyle": "ISO, DMY"}},
		{"PGDATESTYLE", "ISO, DMY", "postgres://db?DateStyle=German", map[string]string{"DateStyle": "German"}},
		{"PGTZ", "Asia/Tokyo", "host=db", map[string]string{"timezone": "Asia/Tokyo"}},
		{"PGGEQO", "off", "host=db", map[string]string{"geqo": "off"}},
		{"PGOPTIONS", "-c work_mem=1MB", "host=db", map[string]string{"options": "-c work_mem=1MB"}},
		{"PGAPPNAME", "mine", "host=db", map[string]string{"application_name": "mine"}},
		{"PGCLIENTENCODING", "LATIN1", "host=db", nil}, // of text that is psql's own
	} {
		t.Run(tt.env, func(t *testing.T) {
			withoutEnvironment(t)
			t.Setenv(tt.env, tt.value)
			want := map[string]string{"application_name": "shardload", "client_encoding": "UTF8"}
			for k, v := range tt.want {
				want[k] = v
			}
			if diff := cmp.Diff(want, startup(t, tt.dsn)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	for env, value := range map[string]string{"PGGSSENCMODE": "require", "PGSSLCRL": "x", "PGSSLCRLDIR": "x", "PGLOADBALANCEHOSTS": "x", "PGSSLMINPROTOCOLVERSION": "x"} {
		t.Run(env, func(t *testing.T) {
			withoutEnvironment(t)
			t.Setenv(env, value)
			if _, err := Parse("host=db", nil); err == nil {
				t.Error("it is not read")
			}
		})
	}
	t.Run("PGREQUIRESSL", func(t *testing.T) {
		withoutEnvironment(t)
		t.Setenv("PGREQUIRESSL", "1")
		for _, dsn := range []string{"host=db", "postgres://db", "postgres://db?connect_timeout=3", ""} {
			cfg, err := Parse(dsn, nil)
			if err != nil {
				t.Fatal(err)
			}
			cfg.Host = strings.TrimPrefix(cfg.Host, "/")
			if list := ways(&cfg.Config); dsn != "" && (len(list) != 1 || list[0].TLSConfig == nil) {
				t.Errorf("%q: %d ways to connect", dsn, len(list))
			}
			if _, err := (Link{local: true}).Node(cfg, "worker.example", 5432); err != nil {
				t.Error(err)
			}
		}
	})
	t.Run("PGHOSTADDR", func(t *testing.T) {
		withoutEnvironment(t)
		t.Setenv("PGHOSTADDR", "192.0.2.1")
		cfg, err := Parse("user=me", nil)
		if err != nil || cfg.Host != "192.0.2.1" {
			t.Errorf("host %q, %v", cfg.Host, err)
		}
		if cfg, err = Parse("host=db.example user=me", nil); err != nil {
			t.Fatal(err)
		}
		if at, err := cfg.LookupFunc(t.Context(), "db.example"); err != nil || len(at) != 1 || at[0] != "192.0.2.1" {
			t.Errorf("%v, %v", at, err)
		}
	})
}

// Every connection has an end to waiting.
func TestTimes(t *testing.T) {
	withoutEnvironment(t)
	p, err := readParams(said("host=db"))
	if err != nil || !p.keepAlive.Enable || p.keepAlive.Idle+time.Duration(p.keepAlive.Count)*p.keepAlive.Interval != time.Minute {
		t.Errorf("%+v, %v", p.keepAlive, err)
	}
	p, err = readParams(said("host=db keepalives=0 keepalives_idle=7 keepalives_interval=8 keepalives_count=9 tcp_user_timeout=1500"))
	if err != nil || p.keepAlive.Enable || p.keepAlive.Idle != 7*time.Second || p.keepAlive.Interval != 8*time.Second || p.keepAlive.Count != 9 ||
		p.userTimeout != 1500*time.Millisecond {
		t.Errorf("%+v, %v, %v", p.keepAlive, p.userTimeout, err)
	}
	cfg, err := Parse("host=db", nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := prepared(cfg)
	if err != nil || c.ConnectTimeout != fault.ConnectTimeout {
		t.Errorf("connect timeout %v, %v", c.ConnectTimeout, err)
	}
}

// A file of passwords that others may read is not read, and it is said so.
func TestPassfile(t *testing.T) {
	for mode, read := range map[os.FileMode]bool{0o600: true, 0o400: true, 0o640: false, 0o604: false, 0o660: false, 0o610: false} {
		withoutEnvironment(t)
		file := filepath.Join(t.TempDir(), "passwords")
		if err := os.WriteFile(file, []byte("db:5432:d:me:SECRET\nworker.example:5432:d:me:OTHER\n"), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		for by, dsn := range map[string]string{"PGPASSFILE": "host=db user=me dbname=d", "passfile": "host=db user=me dbname=d passfile=" + file} {
			t.Setenv("PGPASSFILE", "")
			if by == "PGPASSFILE" {
				t.Setenv("PGPASSFILE", file)
			}
			warned := ""
			cfg, err := Parse(dsn, func(s string) { warned = s })
			if err != nil {
				t.Fatal(err)
			}
			if (cfg.Password == "SECRET") != read || (warned == "") != read {
				t.Errorf("mode %o by %s: password %q, warned %q", mode, by, cfg.Password, warned)
			}
			target, err := Link{}.Node(cfg, "worker.example", 5432)
			if err != nil {
				t.Fatal(err)
			}
			if got := target.configs[0].Password; (got == "OTHER") != read {
				t.Errorf("mode %o by %s: a node of its own line gets %q", mode, by, got)
			}
		}
		t.Setenv("PGPASSWORD", "GIVEN")
		cfg, err := Parse("host=db user=me dbname=d passfile="+file, func(s string) { t.Errorf("warned of %s, which is not needed", s) })
		if err != nil || cfg.Password != "GIVEN" {
			t.Errorf("password %q, %v", cfg.Password, err)
		}
	}
}
