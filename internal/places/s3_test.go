package places_test

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"shardload/internal/places"
)

// A store is a server that speaks S3, with a bucket "data".
type store struct {
	*httptest.Server
	backend gofakes3.Backend

	requests atomic.Int64
	mu       sync.Mutex
	asked    []string
	// before may answer a request itself: it returns true then.
	before func(n int64, w http.ResponseWriter, r *http.Request) bool
	fake   http.Handler
}

func newStore(t *testing.T, objects map[string][]byte) *store {
	t.Helper()
	s := &store{backend: s3mem.New()}
	if err := s.backend.CreateBucket("data"); err != nil {
		t.Fatal(err)
	}
	for _, key := range slices.Sorted(maps.Keys(objects)) {
		s.put(t, key, objects[key])
	}
	s.fake = gofakes3.New(s.backend).Server()
	s.Server = httptest.NewUnstartedServer(s)
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of a fake whose answers are broken off
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func (s *store) put(t *testing.T, key string, content []byte) {
	t.Helper()
	if _, err := s.backend.PutObject("data", key, map[string]string{"Last-Modified": "Fri, 27 Nov 2026 10:00:00 GMT"}, bytes.NewReader(content), int64(len(content)), nil); err != nil {
		t.Fatal(err)
	}
}

func (s *store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n := s.requests.Add(1)
	s.mu.Lock()
	s.asked = append(s.asked, r.Method+" "+r.URL.Path+" "+r.Header.Get("Range")+" "+r.Header.Get("If-Match"))
	s.mu.Unlock()
	if s.before != nil && s.before(n, w, r) {
		return
	}
	if want := r.Header.Get("If-Match"); want != "" { // which the fake does not know
		object, err := s.backend.HeadObject("data", strings.TrimPrefix(r.URL.Path, "/data/"))
		if err != nil || want != fmt.Sprintf(`"%x"`, object.Hash) {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
	}
	s.fake.ServeHTTP(w, r)
}

// options are those of somebody with a key for the store.
func (s *store) options() places.Options {
	opt := patient()
	opt.Getenv = func(name string) string {
		return map[string]string{
			"AWS_ENDPOINT_URL": s.URL, "AWS_ACCESS_KEY_ID": "AKIAKEY", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": secret + "token",
		}[name]
	}
	return opt
}

func TestListsBuckets(t *testing.T) {
	t.Parallel()
	objects := map[string][]byte{}
	for _, key := range []string{"a.csv", "a-b.csv", "a/x.csv", "a/y.csv.gz", "a/b/z.csv", "a/.h.csv", ".hidden.csv", "ab.csv", "dir/", "w?e#i%r d+ü.csv", "out/_SUCCESS", "out/part-0.csv", "out/_temporary/x.csv"} {
		objects[key] = []byte(key)
	}
	s := newStore(t, objects)
	for operand, want := range map[string][]string{
		"a/**/*.csv":       {"b/z.csv", "x.csv"},
		"**/*.csv":         {"a-b.csv", "a.csv", "a/b/z.csv", "a/x.csv", "ab.csv", "out/part-0.csv", "w?e#i%r d+ü.csv"},
		"*.csv":            {"a-b.csv", "a.csv", "ab.csv", "w?e#i%r d+ü.csv"},
		"a/*":              {"x.csv", "y.csv.gz"},
		"a":                {"a/b/z.csv", "a/x.csv", "a/y.csv.gz"},
		"a/":               {"b/z.csv", "x.csv", "y.csv.gz"},
		"a.csv":            {"a.csv"},
		"out":              {"out/part-0.csv"},
		"none/":            {"s3://data/none/: there is no such object"},
		"none":             {"s3://data/none: there is no such object, and none below it"},
		"none/**":          {"s3://data/none/**: there is no such object"},
		"w[?]e*":           {"w?e#i%r d+ü.csv"},
		`w\?e#i%r d+ü.csv`: {"w?e#i%r d+ü.csv"},
	} {
		t.Run(operand, func(t *testing.T) {
			t.Parallel()
			p, err := places.New([]string{"s3://data/" + operand}, s.options())
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for part, err := range p.List(t.Context()) {
				if err != nil {
					got = append(got, err.Error())
					break
				}
				found, ok := p.Find(part.Name, part.Size, part.Tag)
				if !ok {
					t.Errorf("%s is not found again", part.Name)
				}
				for _, part := range []places.Part{part, found} {
					src, err := part.Location().Source(t.Context(), "none")
					if err != nil {
						t.Fatal(err)
					}
					content, err := io.ReadAll(src)
					if key := strings.TrimPrefix(src.Name, "s3://data/"); err != nil || string(content) != key || part.Size != int64(len(key)) || part.Tag == "" {
						t.Errorf("%s: %q, %v for a part of %d bytes, tag %q", src.Name, content, err, part.Size, part.Tag)
					}
					_ = src.Close()
				}
				got = append(got, part.Name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("names (-want +got):\n%s", diff)
			}
		})
	}
	got, err := names(t, s.options(), "s3://data/a/*.csv", "s3://data/a.csv", "s3://data/out")
	if diff := cmp.Diff([]string{"a/x.csv", "a.csv", "out/part-0.csv"}, got); diff != "" || err != nil {
		t.Errorf("names beside others (-want +got):\n%s%v", diff, err)
	}
}

// A listing of many pages goes on after failures, and has each name once.
func TestListsOnAfterFailures(t *testing.T) {
	t.Parallel()
	objects := map[string][]byte{}
	for i := range 3500 {
		objects[fmt.Sprintf("events/%05d.csv", i)] = nil
	}
	s := newStore(t, objects)
	s.before = func(n int64, w http.ResponseWriter, _ *http.Request) bool {
		if n%2 == 0 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return n%2 == 0
	}
	got, err := names(t, s.options(), "s3://data/events/*.csv")
	if err != nil || len(got) != 3500 || !slices.IsSorted(got) || len(slices.Compact(got)) != 3500 {
		t.Errorf("%d names, %v", len(got), err)
	}
	s.before = func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	if _, err := names(t, s.options(), "s3://data/events/*.csv"); err == nil || !strings.HasPrefix(err.Error(), "s3://data/events/*.csv: the store answers 403 Forbidden (AccessDenied)") {
		t.Errorf("a bucket that is closed: %v", err)
	}
}

func TestReadsBuckets(t *testing.T) {
	t.Parallel()
	content := noise(5<<20 + 3)
	s := newStore(t, map[string][]byte{"x.csv": content, "empty.csv": nil, "small.csv": content[:100]})
	for name, fails := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t, map[string][]byte{"x.csv": content})
			behind := &site{}
			s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
				if name == "reset in mid-body" {
					if n%3 > 0 {
						s.fake.ServeHTTP(&shortWriter{ResponseWriter: w, left: 100_000}, r)
						panic(http.ErrAbortHandler)
					}
					return false
				}
				return fails(behind, n, w, r)
			}
			wantAll(t, "s3://data/x.csv", s.options(), content)
		})
	}
	wantAll(t, "s3://data/empty.csv", s.options(), nil)
	wantAll(t, "s3://data/small.csv", s.options(), content[:100])
	s.mu.Lock()
	s.asked = nil
	s.mu.Unlock()
	wantAll(t, "s3://data/small.csv", s.options(), content[:100])
	if len(s.asked) != 1 {
		t.Errorf("a small object took %q", s.asked)
	}
}

// An object is the one that was listed, and the same to its end.
func TestChangedInBuckets(t *testing.T) {
	t.Parallel()
	content := noise(5 << 20)
	other := bytes.ToUpper(content)
	s := newStore(t, map[string][]byte{"x.csv": content})
	p, err := places.New([]string{"s3://data/*.csv"}, s.options())
	if err != nil {
		t.Fatal(err)
	}
	var part places.Part
	for part, err = range p.List(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	s.put(t, "x.csv", other)
	const changed = "s3://data/x.csv: was changed while it was read or waited to be read: the store has another version of it now; load it again when it is complete"
	if _, err := part.Location().Source(t.Context(), ""); err == nil || err.Error() != changed {
		t.Errorf("changed since it was listed: %v", err)
	}
	s.before = func(n int64, w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.Header.Get("Range"), "bytes=0-") {
			defer s.put(t, "x.csv", content)
			s.fake.ServeHTTP(w, r)
			return true
		}
		return false
	}
	if _, err := readAll(t, "s3://data/x.csv", s.options()); err == nil || err.Error() != changed {
		t.Errorf("changed in the middle: %v", err)
	}
}

// Errors say what is wrong, and never with what was asked.
func TestErrorsOfBuckets(t *testing.T) {
	t.Parallel()
	s := newStore(t, map[string][]byte{"x.csv": []byte("x")})
	closed := newStore(t, nil)
	closed.before = func(_ int64, w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusForbidden)
		_, _ = io.WriteString(w, `<?xml version="1.0"?><Error><Code>SignatureDoesNotMatch</Code><Message>no</Message><AWSAccessKeyId>AKIAKEY</AWSAccessKeyId><StringToSign>`+secret+`</StringToSign><RequestId>1</RequestId></Error>`)
		return true
	}
	nobody := closed.options()
	nobody.Getenv = func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL_S3": closed.URL, "HOME": t.TempDir()}[name]
	}
	wrong := s.options()
	wrong.Getenv = func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": "https://u:" + secret + "@host/path"}[name]
	}
	gone := s.options()
	gone.RetryFor = 0
	gone.Getenv = func(name string) string {
		return map[string]string{"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": secret}[name]
	}
	for _, test := range []struct {
		url  string
		opt  places.Options
		want string
	}{
		{"s3://data/none.csv", s.options(), "s3://data/none.csv: the store answers 404 Not Found (NoSuchKey): there is no such object"},
		{"s3://nodata/none.csv", s.options(), "s3://nodata/none.csv: the store answers 404 Not Found (NoSuchBucket): there is no such object"},
		{"s3://data/x.csv", closed.options(), "s3://data/x.csv: the store answers 403 Forbidden (SignatureDoesNotMatch): it does not let these credentials, or nobody without any, read it"},
		{"s3://data/x.csv", nobody, "s3://data/x.csv: the store answers 403 Forbidden (SignatureDoesNotMatch, and no credentials were found to ask with): it does not let these credentials, or nobody without any, read it"},
		{"s3://data/x.csv", wrong, "s3://data/x.csv: AWS_ENDPOINT_URL: want the URL of a store, such as https://storage.example.com:9000"},
		{"s3://data/x.csv", gone, "s3://data/x.csv: dial tcp 127.0.0.1:1: connect: connection refused"},
		{"s3://u:" + secret + "@data/x.csv", s.options(), "s3://data/x.csv: want s3://BUCKET/KEY"},
		{"s3://d/x.csv", s.options(), "s3://d/x.csv: want s3://BUCKET/KEY"},
		{"s3://data", s.options(), "s3://data: names more than one object"},
		{"s3://data/*.csv", s.options(), "s3://data/*.csv: names more than one object"},
	} {
		_, err := readAll(t, test.url, test.opt)
		if err == nil || err.Error() != test.want {
			t.Errorf("%s:\n got %v\nwant %s", test.url, err, test.want)
		}
	}
}

// Where credentials and endpoint are looked for.
func TestEnvironmentOfBuckets(t *testing.T) {
	t.Parallel()
	s := newStore(t, map[string][]byte{"x.csv": []byte("x")})
	var told atomic.Value
	s.before = func(_ int64, _ http.ResponseWriter, r *http.Request) bool {
		told.Store(r.Header.Get("Authorization"))
		return false
	}
	home := t.TempDir()
	for name, text := range map[string]string{
		"credentials": "[default]\naws_access_key_id = AKDEFAULT\naws_secret_access_key = x\n[other]\naws_access_key_id = AKOTHER\naws_secret_access_key = y\n",
		"config":      "[default]\nregion = eu-west-7\nendpoint_url = " + s.URL + "\n[profile other]\nregion = eu-west-8\nendpoint_url = " + s.URL + "\n[profile empty]\nendpoint_url = " + s.URL + "\n",
	} {
		if err := os.MkdirAll(filepath.Join(home, ".aws"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, ".aws", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for want, env := range map[string]map[string]string{
		"Credential=AKDEFAULT/%/eu-west-7/s3": {"HOME": home},
		"Credential=AKOTHER/%/eu-west-8/s3":   {"HOME": home, "AWS_PROFILE": "other"},
		"Credential=AKOTHER/%/eu-west-9/s3":   {"HOME": home, "AWS_PROFILE": "other", "AWS_REGION": "eu-west-9"},
		"Credential=AKENV/%/us-east-1/s3":     {"AWS_ACCESS_KEY_ID": "AKENV", "AWS_SECRET_ACCESS_KEY": "z", "AWS_ENDPOINT_URL_S3": s.URL, "AWS_ENDPOINT_URL": "http://127.0.0.1:1"},
		"":                                    {"HOME": home, "AWS_PROFILE": "empty"},
	} {
		opt := s.options()
		opt.Getenv = func(name string) string { return env[name] }
		wantAll(t, "s3://data/x.csv", opt, []byte("x"))
		before, after, _ := strings.Cut(want, "%")
		if got := told.Load().(string); !strings.Contains(got, before) || !strings.Contains(got, after) || want == "" && got != "" {
			t.Errorf("%v: told %q, want %s", env, got, want)
		}
	}
}

// The store is asked for several ranges at once, in memory that is bounded.
func TestReadsAhead(t *testing.T) {
	t.Parallel()
	content := noise(24 << 20)
	s := newStore(t, map[string][]byte{"x.csv": content})
	var now, most atomic.Int64
	s.before = func(_ int64, w http.ResponseWriter, r *http.Request) bool {
		most.Store(max(most.Load(), now.Add(1)))
		defer now.Add(-1)
		time.Sleep(20 * time.Millisecond) // as a store that is far away
		s.fake.ServeHTTP(w, r)
		return true
	}
	opt := s.options()
	opt.ReadAhead = 8 << 20
	wantAll(t, "s3://data/x.csv", opt, content)
	if most.Load() < 3 || most.Load() > 9 {
		t.Errorf("%d requests at once", most.Load())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.asked) != 24 {
		t.Errorf("%d requests for 24 MiB in blocks of 1 MiB", len(s.asked))
	}
}
