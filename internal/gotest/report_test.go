package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReport(t *testing.T) {
	const events = `{"Action":"build-output","ImportPath":"m/c","Output":"c.go:1: syntax error\n"}
{"Action":"output","Package":"m/a","Test":"TestOK","Output":"noise\n"}
{"Action":"pass","Package":"m/a","Test":"TestOK"}
{"Action":"output","Package":"m/a","Test":"TestS1","Output":"    a_test.go:7: no Citus here\n"}
{"Action":"skip","Package":"m/a","Test":"TestS1"}
{"Action":"output","Package":"m/a","Test":"TestS2","Output":"    b_test.go:9: no Citus here\n"}
{"Action":"output","Package":"m/a","Test":"TestS2","Output":"    b_test.go:4: a log\n        of two lines\n"}
{"Action":"skip","Package":"m/a","Test":"TestS2"}
{"Action":"skip","Package":"m/a","Test":"TestS3"}
{"Action":"output","Package":"m/a","Output":"PASS\n"}
{"Action":"output","Package":"m/a","Output":"ok  \tm/a\t0.1s\n"}
{"Action":"pass","Package":"m/a"}
{"Action":"output","Package":"m/b","Test":"TestBad","Output":"    b_test.go:3: 1, want 2\n"}
{"Action":"fail","Package":"m/b","Test":"TestBad"}
{"Action":"output","Package":"m/b","Test":"TestHung","Output":"goroutine 7\n"}
{"Action":"fail","Package":"m/b"}
`
	const want = `c.go:1: syntax error
ok  	m/a	0.1s
    b_test.go:3: 1, want 2
goroutine 7
1 tests passed, 1 failed, 3 skipped:
  2: no Citus here (TestS1, TestS2)
  1: no reason given (TestS3)
`
	var got strings.Builder
	r := newReport(&got)
	if err := r.read(strings.NewReader(events)); err != nil {
		t.Fatal(err)
	}
	r.summary()
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestReportOfNonsense(t *testing.T) {
	if err := newReport(new(strings.Builder)).read(strings.NewReader("panic: no JSON")); err == nil {
		t.Error("no error for output that is not JSON")
	}
}

// The exit status is go test's own: a check that reads 0 must mean it.
func TestStatus(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want int
	}{
		{[]string{"-run", "^$", "."}, 0},
		{[]string{"./no-such-package"}, 1},
		{[]string{"-p=x"}, 2},
	} {
		var out strings.Builder
		if got := run(t.Context(), tt.args, &out, &out); got != tt.want {
			t.Errorf("gotest %q: status %d, want %d; output:\n%s", tt.args, got, tt.want, out.String())
		}
	}
}
