package places_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"shardload/internal/input"
	"shardload/internal/places"
)

// secret is in no error, no name and no log.
const secret = "s3cr3t"

// A site serves one object, and does whatever a test wants first.
type site struct {
	*httptest.Server
	mu      sync.Mutex
	content []byte
	etag    string
	plain   bool // no ranges

	requests atomic.Int64
	// before may answer a request itself: it returns true then.
	before func(n int64, w http.ResponseWriter, r *http.Request) bool
}

func newSite(t *testing.T, content []byte) *site {
	t.Helper()
	s := &site{content: content, etag: `"one"`}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	if s.before != nil && s.before(n, w, r) {
		return
	}
	s.serve(w, r)
}

func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	content, etag, plain := s.content, s.etag, s.plain
	s.mu.Unlock()
	if etag != "" {
		w.Header().Set("ETag", etag)
	}
	if plain {
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// set changes what is served.
func (s *site) set(content []byte, etag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.content, s.etag = content, etag
}

// breaksOff serves only n bytes of what was asked for.
func (s *site) breaksOff(w http.ResponseWriter, r *http.Request, n int) {
	s.serve(&shortWriter{ResponseWriter: w, left: n}, r)
	panic(http.ErrAbortHandler)
}

type shortWriter struct {
	http.ResponseWriter
	left int
}

func (w *shortWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(len(p), w.left)])
	w.left -= n
	if w.left == 0 && err == nil {
		if f, ok := w.ResponseWriter.(http.Flusher); ok {
			f.Flush()
		}
		err = io.ErrShortWrite
	}
	return n, err
}

// noise returns n bytes that are the same each time.
func noise(n int) []byte {
	content := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(content)
	for i := range content {
		content[i] = 'a' + content[i]%26 // text
	}
	return content
}

// patient are options that wait for a store that fails.
func patient() places.Options {
	return places.Options{RetryFor: time.Minute, ReadAhead: 2 << 20, Getenv: func(string) string { return "" }}
}

// open opens what is at a URL.
func open(ctx context.Context, url string, opt places.Options) (*input.Source, error) {
	at, err := places.Locate(url, opt)
	if err != nil {
		return nil, err
	}
	return at.Source(ctx, input.Auto)
}

// readAll reads what is at a URL.
func readAll(t *testing.T, url string, opt places.Options) ([]byte, error) {
	t.Helper()
	src, err := open(t.Context(), url, opt)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(src)
	if closeErr := src.Close(); closeErr != nil {
		t.Error(closeErr)
	}
	return content, err
}

// wantAll reads what is at a URL, which must be content.
func wantAll(t *testing.T, url string, opt places.Options, content []byte) {
	t.Helper()
	got, err := readAll(t, url, opt)
	if err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes of %d, equal: %t, %v", len(got), len(content), bytes.Equal(got, content), err)
	}
}

func TestReadsObjects(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, 1000, 1 << 20, 1<<20 + 1, 3 << 20, 9<<20 + 17} {
		for _, ahead := range []int64{0, 2 << 20, 64 << 20} {
			for _, plain := range []bool{false, true} {
				t.Run(fmt.Sprintf("%d, %d ahead, plain %t", size, ahead, plain), func(t *testing.T) {
					t.Parallel()
					content := noise(size)
					s := newSite(t, content)
					s.plain = plain
					opt := patient()
					opt.ReadAhead = ahead
					wantAll(t, s.URL+"/x.csv", opt, content)
				})
			}
		}
	}
}

func TestReadsAtAnyPlace(t *testing.T) {
	t.Parallel()
	content := noise(5 << 20)
	s := newSite(t, content)
	src, err := open(t.Context(), s.URL+"/x.csv", patient())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close() }()
	if !src.Plain() || src.Size != int64(len(content)) {
		t.Fatalf("plain: %t, %d bytes", src.Plain(), src.Size)
	}
	for range 50 {
		from := rand.IntN(len(content))
		length := rand.IntN(min(2<<20, len(content)-from)) + 1
		p := make([]byte, length)
		if n, err := src.ReadAt(p, int64(from)); n != length || err != nil || !bytes.Equal(p, content[from:from+length]) {
			t.Fatalf("%d bytes from %d on: %d, %v", length, from, n, err)
		}
	}
	if n, err := src.ReadAt(make([]byte, 10), int64(len(content)-4)); n != 4 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	for range 5 {
		from := rand.IntN(len(content))
		if err := src.SeekTo(int64(from)); err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(src); err != nil || !bytes.Equal(got, content[from:]) {
			t.Fatalf("from %d on: %d bytes, %v", from, len(got), err)
		}
	}
	head, tail, ok, err := src.Fingerprint()
	if err != nil || !ok || head == tail {
		t.Errorf("fingerprint %s, %s, %t, %v", head, tail, ok, err)
	}
	if touched, err := src.Touched(); touched || err != nil {
		t.Errorf("touched: %t, %v", touched, err)
	}
}

// faults are what stores do, by the number of the request.
var faults = map[string]func(s *site, n int64, w http.ResponseWriter, r *http.Request) bool{
	"500, then 503 with Retry-After": func(_ *site, n int64, w http.ResponseWriter, _ *http.Request) bool {
		switch n % 4 {
		case 1:
			w.WriteHeader(http.StatusInternalServerError)
		case 2:
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n%4 < 3 && n%4 > 0
	},
	"reset in mid-body": func(s *site, n int64, w http.ResponseWriter, r *http.Request) bool {
		if n%3 > 0 {
			s.breaksOff(w, r, 100_000)
		}
		return false
	},
	"reset before the body": func(_ *site, n int64, _ http.ResponseWriter, _ *http.Request) bool {
		if n%2 > 0 {
			panic(http.ErrAbortHandler)
		}
		return false
	},
	"too many requests": func(_ *site, n int64, w http.ResponseWriter, _ *http.Request) bool {
		if n%3 == 1 {
			w.WriteHeader(http.StatusTooManyRequests)
		}
		return n%3 == 1
	},
}

func TestGoesOnAfterFailures(t *testing.T) {
	t.Parallel()
	for name, fails := range faults {
		for _, plain := range []bool{false, true} {
			for _, ahead := range []int64{0, 2 << 20} {
				if plain && name == "reset in mid-body" && ahead == 0 {
					continue // it always breaks at the same place
				}
				t.Run(fmt.Sprintf("%s, plain %t, ahead %d", name, plain, ahead), func(t *testing.T) {
					t.Parallel()
					content := noise(4<<20 + 5)
					s := newSite(t, content)
					s.plain = plain
					s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool { return fails(s, n, w, r) }
					opt := patient()
					opt.ReadAhead = ahead
					wantAll(t, s.URL+"/x.csv?token="+secret, opt, content)
				})
			}
		}
	}
}

// It goes on at the byte where it broke, and asks for the same version.
func TestGoesOnWhereItBroke(t *testing.T) {
	t.Parallel()
	content := noise(4 << 20)
	s := newSite(t, content)
	var asked []string
	s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		asked = append(asked, r.Header.Get("Range")+" "+r.Header.Get("If-Match"))
		if n == 1 {
			s.breaksOff(w, r, 1<<20)
		}
		return false
	}
	opt := patient()
	opt.ReadAhead = 0
	wantAll(t, s.URL, opt, content)
	if len(asked) != 2 || asked[0] != "bytes=0- " || !strings.HasPrefix(asked[1], "bytes=1048576-") || !strings.HasSuffix(asked[1], ` "one"`) {
		t.Errorf("asked for %q", asked)
	}
}

func TestChangedObjects(t *testing.T) {
	t.Parallel()
	content := noise(4 << 20)
	other := bytes.ToUpper(content)
	for _, test := range []struct {
		name, want    string
		plain, noETag bool
	}{
		{"with If-Match", "the store has another version of it now", false, false},
		{"without ranges", `its ETag was "one", and is "two" now`, true, false},
		{"without ranges and ETags", "bytes are others", true, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, content)
			s.plain = test.plain
			if test.noETag {
				s.etag = ""
			}
			s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
				if n == 1 {
					defer s.set(other, map[bool]string{false: `"two"`}[test.noETag])
					s.breaksOff(w, r, 1<<20)
				}
				return false
			}
			_, err := readAll(t, s.URL+"/x.csv", patient())
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "was changed while it was read") {
				t.Errorf("error %v, want %s", err, test.want)
			}
		})
	}
}

func TestFinalErrors(t *testing.T) {
	t.Parallel()
	elsewhere := newSite(t, noise(10))
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		want   string
	}{
		"403":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, "the store answers 403 Forbidden: it does not let these credentials, or nobody without any, read it"},
		"404":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, "the store answers 404 Not Found: there is no such object"},
		"a circle": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.String(), http.StatusFound) }, "the server redirects more than 10 times"},
		"nothing":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, "the store answers 204 No Content"},
		"wrong place": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 10-19/20")
			w.WriteHeader(206)
		}, "the store sends what begins at byte 10, asked for byte 0"},
		"no total": {func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/*")
			w.WriteHeader(206)
		}, `the store says with Content-Range "bytes 0-9/*" which bytes it sends, and not of how many`},
		"no length": {func(w http.ResponseWriter, r *http.Request) {
			conn, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\na,b\n1,2\n")
			_ = conn.Close()
		}, "the server does not say how long it is (neither Content-Length nor chunks): a connection that breaks would look like its end; download it and load the file"},
		"Retry-After a day": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(503)
		}, "gave up after 0s of attempts (Config.RetryFor): the store answers 503 Service Unavailable, and wants to be asked again after 24h0m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, nil)
			s.before = func(_ int64, w http.ResponseWriter, r *http.Request) bool { test.answer(w, r); return true }
			url := strings.Replace(s.URL, "http://", "http://me:"+secret+"@", 1) + "/x.csv?X-Amz-Signature=" + secret
			_, err := readAll(t, url, patient())
			if want := s.URL + "/x.csv: " + test.want; err == nil || err.Error() != want {
				t.Errorf("error %v\nwant  %s", err, want)
			}
		})
	}
	if elsewhere.requests.Load() > 0 {
		t.Error("somebody else was asked")
	}
}

// No error, whatever it is about, has what a URL keeps secret.
func TestSecretsAreNowhere(t *testing.T) {
	t.Parallel()
	gone := newSite(t, nil)
	gone.Close()
	secretly := func(url string) string {
		return strings.Replace(url, "://", "://me:"+secret+"@", 1) + "/d/x.csv?id=7&X-Amz-Signature=" + secret + "&sig=" + secret
	}
	redirects := newSite(t, nil)
	redirects.before = func(_ int64, w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, secretly(gone.URL), http.StatusFound)
		return true
	}
	garbage := newSite(t, nil)
	garbage.before = func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
		conn, _, _ := w.(http.Hijacker).Hijack()
		_, _ = io.WriteString(conn, "SSH-2.0 "+secret+"\r\n")
		_ = conn.Close()
		return true
	}
	broken := newSite(t, noise(3<<20))
	broken.before = func(_ int64, w http.ResponseWriter, r *http.Request) bool { broken.breaksOff(w, r, 0); return true }
	for name, url := range map[string]string{
		"nobody listens": secretly(gone.URL), "redirect": secretly(redirects.URL), "broken": secretly(broken.URL),
		"no such host": secretly("http://no-such-host.invalid"), "no TLS": secretly("https://" + strings.TrimPrefix(broken.URL, "http://")),
		"no URL": "https://me:" + secret + "@host:port/x?sig=" + secret, "no host": "https:///x?sig=" + secret, "control": "https://u:" + secret + "@h/\x01?" + secret,
		"not known": "s3://u:" + secret + "@bucket/x",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			for _, limit := range []time.Duration{0, 2 * time.Second} {
				opt := patient()
				opt.RetryFor, opt.Log = limit, slog.New(slog.NewTextHandler(&log, nil))
				_, err := readAll(t, url, opt)
				if err == nil || strings.Contains(err.Error(), secret) || strings.Contains(log.String(), secret) {
					t.Errorf("error %v, log %s", err, log.String())
				}
				if name := places.Identity(url); strings.Contains(name, secret) {
					t.Errorf("identity %s", name)
				}
			}
			if name == "broken" && !strings.Contains(log.String(), "the store fails; trying again for up to 2s") {
				t.Errorf("log %s", log.String())
			}
		})
	}
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"a?b=c":                         "a?b=c", // a file
		"https://Host/p/x.csv":          "https://host/p/x.csv",
		"HTTPS://u:p@host:8443/x%20y#f": "https://host:8443/x%20y",
		"https://h/x?X-Amz-Signature=a&X-Amz-Date=b&X-Goog-Expires=3":    "https://h/x",
		"https://h/x?sv=1&sp=r&sig=abc&se=2":                             "https://h/x",
		"https://h/x?Expires=1&Signature=2&Key-Pair-Id=3&access_token=4": "https://h/x",
		"s3://b/k":                 "s3://b/k",
		"https://h/x?id=1":         "https://h/x?7ff9eb7b2b87e66d",
		"https://h/x?id=1&token=a": "https://h/x?7ff9eb7b2b87e66d",
		"https://h/x?sp=1":         "https://h/x?7ae0a6ee6d2f3a6f",
	} {
		got := places.Identity(name)
		if strings.Contains(want, "?") && strings.HasPrefix(name, "https") {
			if len(got) != len(want) || !strings.HasPrefix(got, "https://h/x?") {
				t.Errorf("%s is %s, want the like of %s", name, got, want)
			}
			continue
		}
		if got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	for _, pair := range [][2]string{{"https://h/x?id=1", "https://h/x?id=2"}, {"https://h/x?id=1", "https://h/x"}, {"https://h/x", "https://h/y"}, {"https://h/x?st=1", "https://h/x?st=2"}} {
		if places.Identity(pair[0]) == places.Identity(pair[1]) {
			t.Errorf("%s and %s have one name", pair[0], pair[1])
		}
	}
	for _, pair := range [][2]string{{"https://h/x?id=1&token=2", "https://h/x?id=1&token=3"}, {"https://h/x?st=1&sig=a", "https://h/x?st=2&sig=b"}} {
		if places.Identity(pair[0]) != places.Identity(pair[1]) {
			t.Errorf("%s and %s have two names", pair[0], pair[1])
		}
	}
	_, err := places.New([]string{"https://h/x?token=1", "https://h/x?token=2"}, places.Options{})
	if err == nil || !strings.HasPrefix(err.Error(), "https://h/x: is named twice") {
		t.Errorf("two URLs of one name: %v", err)
	}
}

// What is told to one host is not told to another, and nothing goes where others can read along.
func TestRedirects(t *testing.T) {
	t.Parallel()
	content := noise(3 << 20)
	store := newSite(t, content)
	var told []string
	var mu sync.Mutex
	store.before = func(_ int64, _ http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		for _, name := range []string{"Authorization", "X-Token", "Referer", "Cookie"} {
			if value := r.Header.Get(name); value != "" {
				told = append(told, name+": "+value)
			}
		}
		return false
	}
	front := newSite(t, nil)
	heard := 0
	front.before = func(_ int64, w http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		if r.Header.Get("Authorization") != "" && r.Header.Get("X-Token") == secret {
			heard++
		}
		mu.Unlock()
		http.Redirect(w, r, strings.Replace(store.URL, "127.0.0.1", "localhost", 1)+"/x.csv?sig="+secret, http.StatusTemporaryRedirect)
		return true
	}
	opt := patient()
	opt.Header = http.Header{"X-Token": {secret}, "Cookie": {"a=" + secret}}
	wantAll(t, strings.Replace(front.URL, "://", "://me:pass@", 1), opt, content)
	if len(told) > 0 || heard == 0 || int64(heard) != front.requests.Load() {
		t.Errorf("the other host was told %q, the first one %d of %d times", told, heard, front.requests.Load())
	}
}

func TestLogins(t *testing.T) {
	t.Parallel()
	s := newSite(t, []byte("a\n1\n"))
	var told atomic.Value
	s.before = func(_ int64, _ http.ResponseWriter, r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		told.Store(user + ":" + password)
		return false
	}
	home := t.TempDir()
	if err := os.WriteFile(filepath.Join(home, ".netrc"), []byte("machine other login no password no\nmachine 127.0.0.1\n  login me password pass\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ url, header, want string }{
		{s.URL, "", "me:pass"},
		{strings.Replace(s.URL, "://", "://you:w%40rd@", 1), "", "you:w@rd"},
		{s.URL, "Authorization: Basic dXM6aXQ=", "us:it"},
		{strings.Replace(s.URL, "127.0.0.1", "localhost", 1), "", ":"},
	} {
		opt := patient()
		opt.Getenv = func(name string) string { return map[string]string{"HOME": home}[name] }
		opt.Header = http.Header{}
		if test.header != "" {
			if err := places.ParseHeader(test.header, opt.Header); err != nil {
				t.Fatal(err)
			}
		}
		wantAll(t, test.url, opt, []byte("a\n1\n"))
		if told.Load() != test.want {
			t.Errorf("%s, %s: told %s, want %s", test.url, test.header, told.Load(), test.want)
		}
	}
	for _, bad := range []string{"", "x", ": y", "a b: c", "a: b\nc: d"} {
		if err := places.ParseHeader(bad, http.Header{}); err == nil {
			t.Errorf("%q is taken for a header", bad)
		}
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	proxy := newSite(t, []byte("a\n1\n"))
	var asked atomic.Value
	proxy.before = func(_ int64, _ http.ResponseWriter, r *http.Request) bool { asked.Store(r.RequestURI); return false }
	opt := patient()
	opt.Getenv = func(name string) string { return map[string]string{"http_proxy": proxy.URL}[name] }
	wantAll(t, "http://host.invalid/x.csv", opt, []byte("a\n1\n"))
	if asked.Load() != "http://host.invalid/x.csv" {
		t.Errorf("the proxy was asked for %v", asked.Load())
	}
}

// What a server compresses on its way is read as it is, and told by its content.
func TestContentEncoding(t *testing.T) {
	t.Parallel()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write([]byte("a\n1\n"))
	_ = z.Close()
	s := newSite(t, zipped.Bytes())
	s.before = func(_ int64, w http.ResponseWriter, r *http.Request) bool {
		if r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("Accept-Encoding %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		return false
	}
	wantAll(t, s.URL+"/x.csv", patient(), []byte("a\n1\n"))
	src, err := open(t.Context(), s.URL+"/x.csv.gz?sig=x", patient())
	if err != nil {
		t.Fatal(err)
	}
	if src.Size != int64(zipped.Len()) || src.Plain() {
		t.Errorf("%d bytes, plain: %t", src.Size, src.Plain())
	}
	_ = src.Close()
}

// A body that is shorter or longer than its header says is not taken for the object.
func TestWrongLength(t *testing.T) {
	t.Parallel()
	content := noise(2 << 20)
	for _, plain := range []bool{false, true} {
		s := newSite(t, content)
		s.plain = plain
		s.before = func(_ int64, w http.ResponseWriter, r *http.Request) bool {
			from := 0
			if plain {
				w.Header().Set("Content-Length", strconv.Itoa(len(content)))
			} else {
				from, _ = strconv.Atoi(strings.Trim(r.Header.Get("Range"), "bytes=-"))
				w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(content)-1, len(content)))
				w.Header().Set("ETag", s.etag)
				w.WriteHeader(http.StatusPartialContent)
			}
			_, _ = w.Write(content[from : 1<<20])
			panic(http.ErrAbortHandler)
		}
		opt := patient()
		opt.RetryFor, opt.ReadAhead = time.Second, 0
		_, err := readAll(t, s.URL+"/x.csv", opt)
		if err == nil {
			t.Errorf("plain %t: half of it is taken for all", plain)
		}
	}
}

// Whoever ends the load does not wait for the store.
func TestEnds(t *testing.T) {
	t.Parallel()
	content := noise(8 << 20)
	s := newSite(t, content)
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	s.before = func(n int64, _ http.ResponseWriter, r *http.Request) bool {
		if n > 1 {
			select {
			case <-stop:
			case <-r.Context().Done():
			}
		}
		return false
	}
	ctx, cancel := context.WithCancel(t.Context())
	src, err := open(ctx, s.URL, patient())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		_, err := io.Copy(io.Discard, src)
		done <- err
	}()
	for s.requests.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("error %v", err)
	}
	if err := src.Close(); err != nil {
		t.Error(err)
	}
}
