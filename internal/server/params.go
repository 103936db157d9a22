package server

import (
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"shardload/internal/fault"
)

// A ParamError reports something in what the user says of the server that cannot be
// done here. It never holds a password.
type ParamError struct {
	Name  string // libpq's keyword
	Value string
	Why   string
}

func (e *ParamError) Error() string { return fmt.Sprintf("%s=%s: %s", e.Name, e.Value, e.Why) }

// libpqOnly has the keywords that are libpq's own business. pgx sends those that it
// does not know as settings, which the server refuses.
var libpqOnly = []string{
	"hostaddr", "fallback_application_name", "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count",
	"tcp_user_timeout", "replication", "requiressl", "sslcompression", "sslcrl", "sslcrldir", "requirepeer",
	"ssl_min_protocol_version", "ssl_max_protocol_version", "gssencmode", "gsslib", "gssdelegation", "load_balance_hosts",
	"scram_client_key", "scram_server_key", "oauth_issuer", "oauth_client_id", "oauth_client_secret", "oauth_scope",
	"sslkeylogfile", "authtype", "tty", "client_encoding",
}

// refusals has the keywords that ask for what only libpq has, and the values that do
// not ask for it. Left out, they would mean less protection than the user believes
// to have, or another way to log in.
var refusals = []struct {
	name     string
	harmless []string
	why      string
}{
	{"gssencmode", []string{"disable", "prefer"}, "encryption by Kerberos is not to be had here; sslmode=verify-full encrypts, too"},
	{"sslcrl", nil, "lists of revoked certificates are not read here"},
	{"sslcrldir", nil, "lists of revoked certificates are not read here"},
	{"replication", []string{"false", "off", "no", "0"}, "a replication connection runs none of the statements needed here"},
	{"scram_client_key", nil, "only a password can be used to log in with SCRAM"},
	{"scram_server_key", nil, "only a password can be used to log in with SCRAM"},
	{"oauth_issuer", nil, "logging in by OAuth is not to be had here"},
	{"oauth_client_id", nil, "logging in by OAuth is not to be had here"},
	{"oauth_client_secret", nil, "logging in by OAuth is not to be had here"},
}

// params is what of the user's words concerns the network alone.
type params struct {
	keepAlive   net.KeepAliveConfig
	userTimeout time.Duration // 0 is the kernel's
	requirePeer string        // owner of the server behind a Unix socket
	addresses   []string      // of the hosts, one for each; "" has to be looked up
	shuffle     bool          // hosts and addresses are tried in any order
	minTLS      uint16
	maxTLS      uint16
	appName     string
}

// readParams reads what the user has said.
func readParams(all map[string]string) (p params, err error) {
	for _, r := range refusals {
		if value := all[r.name]; value != "" && !slices.Contains(r.harmless, value) {
			if strings.Contains(r.name, "secret") || strings.HasPrefix(r.name, "scram") {
				value = "…"
			}
			return p, &ParamError{r.name, value, r.why}
		}
	}
	p.appName = "shardload"
	if name := all["fallback_application_name"]; name != "" {
		p.appName = name
	}
	if p.requirePeer = all["requirepeer"]; p.requirePeer != "" && !knowsPeers {
		return p, &ParamError{"requirepeer", p.requirePeer, "the owner of a server cannot be found out on " + runtime.GOOS}
	}
	if all["hostaddr"] != "" {
		p.addresses = strings.Split(all["hostaddr"], ",")
	}
	switch v := all["load_balance_hosts"]; v {
	case "", "disable":
	case "random":
		p.shuffle = true
	default:
		return p, &ParamError{"load_balance_hosts", v, "want disable or random"}
	}
	if err := p.readTLS(all); err != nil {
		return p, err
	}
	return p, p.readTimes(all)
}

// readTimes reads when a peer that does not answer is given up.
func (p *params) readTimes(all map[string]string) error {
	number := func(name string, otherwise int) (int, error) {
		v := strings.TrimSpace(all[name])
		if v == "" {
			return otherwise, nil
		}
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return 0, &ParamError{name, v, "want a whole number"}
		}
		if n <= 0 {
			return otherwise, nil // as libpq: the default
		}
		return int(n), nil
	}
	switch v := strings.TrimSpace(all["keepalives"]); v {
	case "":
		p.keepAlive.Enable = true
	default:
		n, err := strconv.ParseInt(v, 10, 32)
		if err != nil {
			return &ParamError{"keepalives", v, "want 0 or 1"}
		}
		p.keepAlive.Enable = n != 0
	}
	idle, err := number("keepalives_idle", int(fault.KeepAliveIdle/time.Second))
	if err != nil {
		return err
	}
	interval, err := number("keepalives_interval", int(fault.KeepAliveInterval/time.Second))
	if err != nil {
		return err
	}
	if p.keepAlive.Count, err = number("keepalives_count", fault.KeepAliveCount); err != nil {
		return err
	}
	timeout, err := number("tcp_user_timeout", 0)
	if err != nil {
		return err
	}
	p.keepAlive.Idle, p.keepAlive.Interval = time.Duration(idle)*time.Second, time.Duration(interval)*time.Second
	p.userTimeout = time.Duration(timeout) * time.Millisecond
	return nil
}

// readTLS reads which versions of TLS will do.
func (p *params) readTLS(all map[string]string) error {
	versions := map[string]uint16{"": 0, "TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}
	for name, to := range map[string]*uint16{"ssl_min_protocol_version": &p.minTLS, "ssl_max_protocol_version": &p.maxTLS} {
		version, ok := versions[all[name]]
		if !ok {
			return &ParamError{name, all[name], "want TLSv1, TLSv1.1, TLSv1.2 or TLSv1.3"}
		}
		*to = version
	}
	return nil
}
