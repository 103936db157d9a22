package cli_test

import (
	"bytes"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/rogpeppe/go-internal/testscript"
)

// webCommand serves a directory, and sets $WEB to its URL. What is below /private wants the header
// X-Token: s3cr3t.
func webCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: web DIR")
	}
	files := http.FileServerFS(os.DirFS(ts.MkAbs(args[0])))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/private/") && r.Header.Get("X-Token") != "s3cr3t" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("ETag", `"`+r.URL.Path+`"`)
		files.ServeHTTP(w, r)
	}))
	ts.Defer(server.Close)
	ts.Setenv("WEB", server.URL)
}

// s3Command starts a store that speaks S3 with the files of a directory in its bucket "data", and
// says so in the environment.
func s3Command(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: s3 DIR")
	}
	backend := s3mem.New()
	ts.Check(backend.CreateBucket("data"))
	dir := ts.MkAbs(args[0])
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		key, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		_, err = backend.PutObject("data", filepath.ToSlash(key), map[string]string{"Last-Modified": "Fri, 27 Nov 2026 10:00:00 GMT"}, bytes.NewReader(content), int64(len(content)), nil)
		return err
	}))
	server := httptest.NewServer(gofakes3.New(backend).Server())
	ts.Defer(server.Close)
	ts.Setenv("AWS_ENDPOINT_URL", server.URL)
	ts.Setenv("AWS_ACCESS_KEY_ID", "somebody")
	ts.Setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
}

// putCommand puts a file into the bucket of s3 under a key: by it objects are new, or changed.
func putCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: put KEY FILE")
	}
	r, err := http.NewRequest(http.MethodPut, ts.Getenv("AWS_ENDPOINT_URL")+"/data/"+args[0], strings.NewReader(ts.ReadFile(args[1])))
	ts.Check(err)
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	ts.Check(answer.Body.Close())
	if answer.StatusCode != http.StatusOK {
		ts.Fatalf("put %s: %s", args[0], answer.Status)
	}
}
