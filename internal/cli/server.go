package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"

	"shardload/internal/fault"

	"shardload/internal/server"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// server says which server the user means: --dsn, DATABASE_URL, or whatever
// libpq's variables and files name.
func (a *app) server() (*pgx.ConnConfig, error) {
	switch {
	case a.dsn != "":
		return parseDSN(a.dsn, "--dsn", a.warn)
	case a.Getenv("DATABASE_URL") != "":
		return parseDSN(a.Getenv("DATABASE_URL"), "DATABASE_URL", a.warn)
	}
	return parseDSN("", "the environment", a.warn)
}

// misplacedServer refuses arguments that name a server elsewhere than behind --dsn.
// They may hold a password, and most complaints repeat what they complain about.
func misplacedServer(args []string) error {
	for i, arg := range args {
		if strings.HasPrefix(arg, "--dsn=") || i > 0 && args[i-1] == "--dsn" {
			continue
		}
		for _, sign := range []string{"postgres://", "postgresql://", "password="} {
			if strings.Contains(arg, sign) {
				return &usageError{msg: "a server is named with --dsn", try: "shardload --help"}
			}
		}
	}
	return nil
}

// parseDSN is server.ParseFrom, also where a variable is called server.
func parseDSN(dsn, source string, warn func(string)) (*pgx.ConnConfig, error) {
	return server.ParseFrom(dsn, source, warn)
}

// warn notes what was left aside of what the user has said of the server.
func (c *console) warn(text string) { c.note("warning: %s", text) }

// startPatience is how long a server may take that starts when a command begins.
const startPatience = time.Minute

// connect connects to cfg's server, and waits for it if it starts. On the connection it is
// said for whose lock a statement waits. The caller closes it.
func (a *app) connect(ctx context.Context, cfg *pgx.ConnConfig) (*pgx.Conn, error) {
	conn, err := server.OpenWithin(ctx, cfg, a.patience())
	if err == nil {
		server.Watch{Log: a.waitLog(), Limit: fault.RetryFor}.Set(conn.PgConn())
	}
	return conn, err
}

// patience is how long servers may fail when a command begins. It says what is waited for.
func (a *app) patience() server.Patience {
	return server.Patience{For: startPatience, Tell: func(err error) {
		text, ok := describeServer(err)
		if !ok {
			text = err.Error()
		}
		what := ""
		if awaits := fault.Awaits(err); awaits != "" {
			what = " for " + awaits
		}
		a.note("waiting up to %s%s: %s", startPatience, what, strings.Join(strings.Fields(text), " "))
	}}
}

// persist calls fn, which only reads, while it fails with what passes and conn holds: a node
// of the cluster that restarts is waited for.
func (a *app) persist(ctx context.Context, conn *pgx.Conn, fn func() error) error {
	return a.patience().Persist(ctx, func(err error) bool { return fault.Passes(err) && !conn.IsClosed() }, fn)
}

// withServer runs do on a connection to the user's server, and closes it.
func (a *app) withServer(ctx context.Context, do func(conn *pgx.Conn) error) (err error) {
	cfg, err := a.server()
	if err != nil {
		return err
	}
	conn, err := a.connect(ctx, cfg)
	if err != nil {
		return err
	}
	defer server.CloseSoon(conn.PgConn())
	return do(conn)
}

// describeServer turns an error of connecting into one line with what to do. ok
// is false for any other error.
func describeServer(err error) (text string, ok bool) {
	failed, ok := errors.AsType[*pgconn.ConnectError](err)
	if !ok {
		return "", false
	}
	cfg := failed.Config
	at := net.JoinHostPort(cfg.Host, fmt.Sprint(cfg.Port))
	if strings.HasPrefix(cfg.Host, "/") {
		at = fmt.Sprintf("%s (port %d)", cfg.Host, cfg.Port)
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return fmt.Sprintf("server %s: %s%s", at, refused.Message, serverHint(refused, cfg)), true
	}
	return networkFailure(at, cfg, err), true
}

// connectHint says what to do about an error of connecting, "" for nothing.
func connectHint(cfg *pgconn.Config, err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return strings.TrimPrefix(serverHint(refused, cfg), "; ")
	}
	_, hint, _ := strings.Cut(networkFailure("", cfg, err), "; ")
	return strings.TrimSpace(hint)
}

// serverHint says what to do about a server's refusal.
func serverHint(refused *pgconn.PgError, cfg *pgconn.Config) string {
	switch refused.Code {
	case fault.WrongPassword, fault.NotAuthorized:
		if strings.Contains(refused.Message, "pg_hba.conf") { // in every language
			if onlyPlain(cfg) {
				return "; it may let in none without TLS: name sslmode=verify-full or another one"
			}
			return "; whoever runs the server decides in that file who is let in, and from where"
		}
		if strings.Contains(refused.Message, "client certificate") {
			return "; name one that its authority has signed: sslcert and sslkey"
		}
		if cfg.Password == "" {
			return "; no password was given: put it in ~/.pgpass or PGPASSWORD"
		}
		return "; check user and password: --dsn, PGPASSWORD or ~/.pgpass"
	case fault.NoDatabase:
		return fmt.Sprintf("; create it there (createdb -- %s) or name another one", shellWord(cfg.Database))
	case fault.TooManyConnections:
		return "; close other connections or raise max_connections"
	case fault.Starting:
		return "; try again in a moment"
	}
	return ""
}

// nameAnother says what to do about a server that is not there when a command
// begins.
const nameAnother = " name another server with --dsn or DATABASE_URL"

// networkFailure describes why the server at the address was not reached.
func networkFailure(at string, cfg *pgconn.Config, err error) string {
	var (
		dns         *net.DNSError
		certificate *tls.CertificateVerificationError
		hostname    x509.HostnameError
	)
	const another = "; is PostgreSQL running there?" + nameAnother
	switch { // of a name's addresses, or of several servers, one that has answered tells more than others
	case errors.As(err, &hostname):
		return fmt.Sprintf("server %s: its TLS certificate is for another name: %v; name the server as its certificate does, or choose sslmode=verify-ca", at, hostname)
	case errors.As(err, &certificate):
		return fmt.Sprintf("server %s: its TLS certificate is not trusted: %v; name its authority with sslrootcert, or choose another sslmode",
			at, server.RootCause(certificate))
	case errors.As(err, &dns):
		return fmt.Sprintf("no server at %s: the host name is not known%s", at, "; check --dsn or DATABASE_URL")
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Sprintf("no server at %s: connection refused%s", at, another)
	case errors.Is(err, syscall.ENOENT):
		return fmt.Sprintf("no server at %s: there is no socket%s", at, another)
	case errors.Is(err, syscall.EACCES):
		return fmt.Sprintf("server %s: the socket may not be used by this user", at)
	case strings.Contains(err.Error(), "server refused TLS connection") && mayBePlain(cfg):
		// It was asked without TLS, too, and hung up.
		return fmt.Sprintf("server %s: it closed the connection without an answer%s", at, another)
	case strings.Contains(err.Error(), "server refused TLS connection"):
		return fmt.Sprintf("server %s: it does not speak TLS, which sslmode asks for; switch it on there, or use sslmode=prefer", at)
	case cfg.SSLNegotiation == "direct" && errors.Is(err, io.EOF):
		return fmt.Sprintf("server %s: it closed the connection without an answer; sslnegotiation=direct is for PostgreSQL 17 and later", at)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return fmt.Sprintf("server %s: it closed the connection without an answer%s", at, another)
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("no server at %s: no answer in time%s", at, another)
	}
	return fmt.Sprintf("server %s: %v", at, server.RootCause(err))
}

// onlyPlain reports whether cfg connects without TLS, and in no other way.
func onlyPlain(cfg *pgconn.Config) bool {
	return cfg.TLSConfig == nil && !slices.ContainsFunc(cfg.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig != nil })
}

// mayBePlain reports whether cfg also connects without TLS.
func mayBePlain(cfg *pgconn.Config) bool {
	return cfg.TLSConfig == nil || slices.ContainsFunc(cfg.Fallbacks, func(f *pgconn.FallbackConfig) bool { return f.TLSConfig == nil })
}
