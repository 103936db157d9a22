package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestServerHints holds that what a server's refusal and its certificate are said to need is what
// helps: a password helps nobody whom pg_hba.conf keeps out, and no authority makes a name another.
func TestServerHints(t *testing.T) {
	t.Parallel()
	kept := &pgconn.PgError{Code: "28000", Message: `pg_hba.conf rejects connection for host "10.0.0.1", user "me", database "app", no encryption`}
	for want, cfg := range map[string]*pgconn.Config{
		"; it may let in none without TLS":  {},
		"; whoever runs the server decides": {TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
	} {
		if got := serverHint(kept, cfg); !strings.HasPrefix(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	wrong := &pgconn.PgError{Code: "28P01", Message: "password authentication failed"}
	if got := serverHint(wrong, &pgconn.Config{Password: "x"}); !strings.HasPrefix(got, "; check user and password") {
		t.Errorf("%q", got)
	}
	cert := &tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"db"}}, Host: "10.0.0.1"}}
	got := networkFailure("10.0.0.1:5432", &pgconn.Config{}, fmt.Errorf("connect: %w", cert))
	if !strings.Contains(got, "is for another name") || strings.Contains(got, "sslrootcert") {
		t.Error(got)
	}
	cert.Err = x509.UnknownAuthorityError{}
	// As the driver wraps it, of the second of two addresses.
	joined := errors.Join(syscall.ECONNREFUSED, fmt.Errorf("failed to write startup message: %w", cert))
	if got := networkFailure("db:5432", &pgconn.Config{}, joined); strings.Contains(got, "startup") || !strings.Contains(got, "not trusted: x509") {
		t.Error(got)
	}
	other := errors.Join(fmt.Errorf("failed to write startup message: %w", errors.New("tls: no supported versions")))
	if got := networkFailure("db:5432", &pgconn.Config{}, other); got != "server db:5432: tls: no supported versions" {
		t.Error(got)
	}
	none := &pgconn.PgError{Code: "28000", Message: "connection requires a valid client certificate"}
	if got := serverHint(none, &pgconn.Config{Password: "x"}); !strings.Contains(got, "sslcert") {
		t.Error(got)
	}
	if got := networkFailure("db:5432", &pgconn.Config{}, cert); !strings.Contains(got, "name its authority with sslrootcert") {
		t.Error(got)
	}
}
