package places

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jdx/go-netrc"
	"golang.org/x/net/http/httpproxy"
	"golang.org/x/sync/errgroup"

	"shardload/internal/fault"
	"shardload/internal/input"
)

// maxRedirects is how often a server may send to another place.
const maxRedirects = 10

// A web is what asks servers of http and https.
type web struct {
	client *http.Client
	header http.Header
	netrc  *netrc.Netrc // nil if there is none
}

// newTransport returns what connects to stores. Each connection carries one request at a time:
// requests at once are connections at once.
func newTransport(opt *Options) (*http.Transport, error) {
	proxy := (&httpproxy.Config{
		HTTPProxy: getenv(opt, "http_proxy", "HTTP_PROXY"), HTTPSProxy: getenv(opt, "https_proxy", "HTTPS_PROXY"),
		NoProxy: getenv(opt, "no_proxy", "NO_PROXY"), CGI: opt.Getenv("REQUEST_METHOD") != "",
	}).ProxyFunc()
	t := &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) { return proxy(r.URL) },
		DialContext: (&net.Dialer{
			Timeout:         fault.ConnectTimeout,
			KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: fault.KeepAliveIdle, Interval: fault.KeepAliveInterval, Count: fault.KeepAliveCount},
		}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: fault.ConnectTimeout,
		MaxIdleConnsPerHost: 4 * aheadBlocks,
		IdleConnTimeout:     fault.StoreIdle,
		DisableCompression:  true, // what is stored is read, not what it would be after it
	}
	if opt.Trust != nil {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM(opt.Trust) {
			return nil, errors.New("the certificates to be trusted are none in PEM")
		}
		t.TLSClientConfig.RootCAs = pool
	}
	return t, nil
}

// getenv returns the first variable that is set.
func getenv(opt *Options, names ...string) string {
	for _, name := range names {
		if value := opt.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}

func newWeb(opt *Options) (*web, error) {
	transport, err := newTransport(opt)
	if err != nil {
		return nil, err
	}
	w := &web{header: opt.Header}
	w.client = &http.Client{Transport: transport, CheckRedirect: w.follow}
	path := opt.Getenv("NETRC")
	if home := opt.Getenv("HOME"); path == "" && home != "" {
		path = filepath.Join(home, ".netrc")
	}
	if text, err := os.ReadFile(path); err == nil {
		w.netrc, err = netrc.ParseString(string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: is not written as a file of logins is", path) // the error quotes it
		}
	}
	return w, nil
}

// follow decides about a redirect. What the user has said to one host is not told to another.
func (w *web) follow(r *http.Request, via []*http.Request) error {
	first := via[0].URL
	switch {
	case len(via) > maxRedirects:
		return &finalError{fmt.Errorf("the server redirects more than %d times", maxRedirects)}
	case first.Scheme == "https" && r.URL.Scheme != "https":
		return &finalError{errors.New("the server redirects from https to http, where others can read along, and is not followed")}
	}
	r.Header.Del("Referer") // it has the URL that led here
	if r.URL.Host != first.Host {
		for name := range w.header {
			r.Header.Del(name)
		}
		r.Header.Del("Authorization")
	}
	return nil
}

// A webObject is what lies at a URL.
type webObject struct {
	web *web
	url url.URL // without user and password
	// login is the header that says who asks, "" for nobody.
	login string
}

func newWebObject(w *web, u *url.URL) *webObject {
	o := &webObject{web: w, url: *u}
	o.url.User, o.url.Fragment, o.url.RawFragment = nil, "", ""
	r := http.Request{Header: http.Header{}}
	if u.User != nil {
		password, _ := u.User.Password()
		r.SetBasicAuth(u.User.Username(), password)
	} else if m := w.machine(u.Hostname()); m != nil && w.header.Get("Authorization") == "" {
		r.SetBasicAuth(m.Get("login"), m.Get("password"))
	}
	o.login = r.Header.Get("Authorization")
	return o
}

// machine returns what ~/.netrc has of a host, nil for nothing.
func (w *web) machine(host string) *netrc.Machine {
	if w.netrc == nil {
		return nil
	}
	if m := w.netrc.Machine(host); m != nil && !m.IsDefault {
		return m
	}
	for _, m := range w.netrc.Machines() {
		if m.IsDefault {
			return m
		}
	}
	return nil
}

func (o *webObject) get(ctx context.Context, offset, n int64, want version) (*answer, error) {
	return heard(ctx, func(b *body) (*answer, error) { return o.ask(b, offset, n, want) })
}

func (o *webObject) ask(b *body, offset, n int64, want version) (*answer, error) {
	r, err := o.request(b.ctx, offset, n, want)
	if err != nil {
		return nil, &finalError{err}
	}
	response, err := o.web.client.Do(r)
	if err != nil {
		return nil, b.why(cleaned(err))
	}
	b.bytes = response.Body
	length := response.ContentLength
	switch response.StatusCode {
	case http.StatusOK:
		if length < 0 && response.ProtoMajor < 2 && len(response.TransferEncoding) == 0 {
			return nil, &finalError{errNoLength}
		}
		return b.answered(response.Header, false, length, offset)
	case http.StatusPartialContent:
		return b.answered(response.Header, true, length, offset)
	case http.StatusPreconditionFailed:
		return nil, &ChangedError{How: "the store has another version of it now"}
	}
	if response.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0 {
		return nil, &ChangedError{How: fmt.Sprintf("it ends before byte %d now", offset)}
	}
	return nil, &statusError{status: response.StatusCode, after: afterOf(response.Header, time.Now())}
}

// errNoLength refuses an answer whose end cannot be told from a connection that breaks.
var errNoLength = fault.Advise(errors.New("the server does not say how long it is (neither Content-Length nor chunks): a connection that breaks would look like its end"),
	"download it and load the file")

// request returns the request for those bytes.
func (o *webObject) request(ctx context.Context, offset, n int64, want version) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url.String(), nil)
	if err != nil {
		return nil, cleaned(err)
	}
	r.Header.Set("User-Agent", "shardload")
	r.Header.Set("Accept", "*/*")
	for name, values := range o.web.header {
		r.Header[name] = values
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	if o.login != "" {
		r.Header.Set("Authorization", o.login)
	}
	r.Header.Set("Accept-Encoding", "identity")
	if text := rangeOf(offset, n); text != "" {
		r.Header.Set("Range", text)
	}
	switch {
	case want.strong():
		r.Header.Set("If-Match", want.etag)
	case !want.modified.IsZero():
		r.Header.Set("If-Unmodified-Since", want.modified.UTC().Format(http.TimeFormat))
	}
	return r, nil
}

// rangeOf returns the header that asks for those bytes, "" for all.
func rangeOf(offset, n int64) string {
	switch {
	case n == everyByte:
		return ""
	case n < 0:
		return "bytes=" + strconv.FormatInt(offset, 10) + "-"
	}
	return "bytes=" + strconv.FormatInt(offset, 10) + "-" + strconv.FormatInt(offset+n-1, 10)
}

// A webPage is a place that one URL names.
type webPage struct {
	env  *environment
	name string // without secrets
	url  *url.URL
	part string // the name of the part
	is   version
}

func newPage(env *environment, name string) (place, error) {
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("%s: is no URL that can be read", Identity(name))
	}
	return &webPage{env: env, name: identityOf(u), url: u, is: version{size: -1}}, nil
}

func (p *webPage) root() string {
	path, _, _ := strings.Cut(p.name, "?")
	if head := p.url.Scheme + "://"; strings.Count(path, "/") < 3 {
		return strings.ToLower(head) // of a host alone
	}
	return path[:strings.LastIndexByte(path, '/')+1]
}

func (p *webPage) under(base string) { p.part = strings.TrimPrefix(p.name, base) }

func (p *webPage) list(_ context.Context, yield func(Part) bool) error {
	yield(Part{Name: p.part, Size: p.is.size, Tag: p.is.tag()})
	return nil
}

// lookUp asks what lies there now. What the server says against it is found out once more when it is
// opened.
func (p *webPage) lookUp(ctx context.Context) error {
	o, err := openObject(ctx, p.env, p.name, newWebObject(p.env.web, p.url), version{size: -1})
	if p.is = (version{size: -1}); err == nil {
		p.is = o.version
		return o.Close()
	}
	if _, ok := errors.AsType[*statusError](err); ok {
		return nil
	}
	if _, ok := errors.AsType[*finalError](err); ok {
		return nil
	}
	return fmt.Errorf("%s: %w", p.name, err)
}

// lookUps is how many pages are asked for at once.
const lookUps = 16

// lookUp asks what lies at all pages now: a server has no list of them.
func (p *Places) lookUp(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookUps)
	for _, of := range p.list {
		if page, ok := of.(*webPage); ok {
			g.Go(func() error { return page.lookUp(ctx) })
		}
	}
	return g.Wait()
}

func (p *webPage) locate(name string, known version) (input.Location, bool) {
	of := newWebObject(p.env.web, p.url)
	return input.Location{Name: p.name, Open: func(ctx context.Context) (input.Object, error) {
		return openObject(ctx, p.env, p.name, of, known)
	}}, name == p.part
}

func (p *webPage) single() (input.Location, bool) { return p.locate(p.part, version{size: -1}) }

// ParseHeader reads a header as curl's --header takes it, "Name: value".
func ParseHeader(text string, into http.Header) error {
	name, value, ok := strings.Cut(text, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || name == "" || strings.ContainsAny(name, " \t\r\n") || strings.ContainsAny(value, "\r\n") {
		return errors.New(`want "Name: value"`) // it may hold a secret
	}
	into.Add(name, value)
	return nil
}
