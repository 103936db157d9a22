package cli

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"

	"shardload/internal/pgtest"
	"shardload/loader"
)

// Away from a terminal there is a line every five seconds, and after stop nothing.
func TestProgressLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		a := &console{Env: Env{Stderr: &stderr}}
		begun := time.Now()
		stop := a.progress("ads", func() snapshot {
			n := int64(time.Since(begun) / time.Second)
			return snapshot{Rows: 1000 * n, Bytes: 2_000_000 * n, Done: n, Total: 20}
		})
		time.Sleep(12 * time.Second)
		stop()
		time.Sleep(time.Minute)
		want := `ads: 5,000 rows, 9.5 MiB, 1,000 rows/s, 1.9 MiB/s, 25 %, 15 s left
ads: 10,000 rows, 19 MiB, 1,000 rows/s, 1.9 MiB/s, 50 %, 10 s left
`
		if diff := cmp.Diff(want, stderr.String()); diff != "" {
			t.Errorf("stderr (-want +got):\n%s", diff)
		}
		stop() // twice does no harm
	})
}

func TestProgressQuiet(t *testing.T) {
	var stderr bytes.Buffer
	a := &console{Env: Env{Stderr: &stderr}, quiet: true}
	stop := a.progress("ads", func() snapshot {
		t.Error("work is polled that nobody asks about")
		return snapshot{}
	})
	stop()
	a.note("a note")
	if stderr.Len() > 0 {
		t.Errorf("quiet, but stderr has %q", stderr.String())
	}
}

func TestProgressLineOfUnknownEnd(t *testing.T) {
	got := progressLine("-", snapshot{Rows: 1, Bytes: 500}, time.Second)
	if want := "-: 1 row, 500 B, 1 rows/s, 500 B/s"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// A screen is what a terminal of some columns shows.
type screen struct {
	width    int
	rows     [][]rune
	row, col int
	escape   []byte
}

func (s *screen) Write(p []byte) (int, error) {
	for _, r := range string(p) {
		switch {
		case s.escape != nil:
			if s.escape = append(s.escape, string(r)...); r >= '@' && r != '[' {
				s.control(string(s.escape))
				s.escape = nil
			}
		case r == '\x1b':
			s.escape = []byte{}
		case r == '\r':
			s.col = 0
		case r == '\n':
			s.row++
		default:
			s.put(r)
		}
	}
	return len(p), nil
}

func (s *screen) put(r rune) {
	if s.col+text.StringWidth(string(r)) > s.width {
		s.row, s.col = s.row+1, 0
	}
	for len(s.rows) <= s.row {
		s.rows = append(s.rows, []rune(strings.Repeat(" ", s.width)))
	}
	s.rows[s.row][s.col] = r
	s.col += text.StringWidth(string(r))
}

func (s *screen) control(sequence string) {
	from := map[string]int{"[2K": 0, "[K": s.col}[sequence]
	for i := range s.rows {
		for j := from; i == s.row && j < s.width; j++ {
			s.rows[i][j] = ' '
		}
	}
}

func (s *screen) text() string {
	var lines []string
	for _, r := range s.rows {
		lines = append(lines, strings.TrimRight(string(r), " "))
	}
	return strings.Join(lines, "\n")
}

// The bar stays one line in terminals of any width, also beside notes and where the window
// becomes narrower, and leaves nothing behind.
func TestBarStaysOneLine(t *testing.T) {
	for _, width := range []int{20, 21, 30, 40, 60, 80, 200} {
		for _, name := range []string{"ads", "a.much.longer.name.of.a.table.than.there.is.room", "名前名前名前名前名前名前"} {
			for _, total := range []int64{0, 100, 1 << 50} {
				synctest.Test(t, func(t *testing.T) {
					s := &screen{width: width}
					ctx, cancel := context.WithCancel(t.Context())
					begun := time.Now()
					go drawBar(ctx, s, func() int { return width }, name, func() snapshot {
						n := int64(time.Since(begun) / time.Second)
						return snapshot{Rows: 1_234_567 * n, Bytes: 2_000_000_000 * n, Done: min(10*n, 100), Total: total}
					})
					time.Sleep(4500 * time.Millisecond)
					synctest.Wait()
					shown := s.text()
					if len(s.rows) != 1 || !strings.HasPrefix(shown, name[:3]) || total == 100 && !strings.Contains(shown, "40%") {
						t.Errorf("width %d, total %d: shows %q", width, total, shown)
					}
					time.Sleep(20 * time.Second)
					cancel()
					synctest.Wait()
					if left := s.text(); left != "" || len(s.rows) != 1 {
						t.Errorf("width %d, total %d: leaves %q", width, total, left)
					}
				})
			}
		}
	}
}

// The bar goes on as the work does, knows its end or not, and is gone at the end.
func TestBar(t *testing.T) {
	for _, total := range []int64{0, 100} {
		synctest.Test(t, func(t *testing.T) {
			var stderr bytes.Buffer
			ctx, cancel := context.WithCancel(t.Context())
			begun := time.Now()
			go drawBar(ctx, &stderr, func() int { return 80 }, "ads", func() snapshot {
				n := int64(time.Since(begun) / time.Second)
				return snapshot{Rows: 1000 * n, Bytes: 2_000_000 * n, Done: min(10*n, 100), Total: total}
			})
			time.Sleep(20 * time.Second) // longer than the work: a full bar stays one line
			cancel()
			synctest.Wait()
			out := stderr.String()
			if !strings.Contains(out, "ads 1,000 rows/s, 1.9 MiB/s") {
				t.Errorf("total %d: no rate in %q", total, out)
			}
			if strings.Contains(out, "\n") {
				t.Errorf("total %d: a line break in %q", total, out)
			}
			if has := strings.Contains(out, "50%"); has != (total > 0) {
				t.Errorf("total %d: half of the work shown: %v", total, has)
			}
			if end := out[strings.LastIndex(out, "ads"):]; !strings.Contains(end, "\033[2K") {
				t.Errorf("total %d: not cleared: %q", total, end)
			}
		})
	}
}

// The loader's rows and bytes are those of all files of a table so far, what it has
// read of its input is that of the last one.
func TestLoadProgress(t *testing.T) {
	p := loader.Progress{BytesRead: 10, BytesTotal: 50, Rows: 7, Bytes: 90}
	if got, want := loadProgress(p, 100, 150, -1), (snapshot{Rows: 7, Bytes: 90, Done: 110, Total: 150}); got != want {
		t.Errorf("by size: %+v, want %+v", got, want)
	}
	if got, want := loadProgress(p, 100, 150, 8), (snapshot{Rows: 7, Bytes: 90, Done: 7, Total: 8}); got != want {
		t.Errorf("by rows: %+v, want %+v", got, want)
	}
}

// What is shown at the end of the second of two files is what both have together.
func TestLoadProgressOfSeveralFiles(t *testing.T) {
	dsn := pgtest.Plain(t)
	conn := pgtest.Connect(t, dsn)
	if _, err := conn.Exec(t.Context(), "CREATE TABLE events (id int)"); err != nil {
		t.Fatal(err)
	}
	server, err := parseDSN(dsn, "the test's server", nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := loader.Open(t.Context(), loader.Config{Conn: server, Table: "events", NoResume: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		if _, err := l.Load(t.Context(), loader.Reader("-", strings.NewReader("1\n2\n3\n"))); err != nil {
			t.Fatal(err)
		}
	}
	if got := loadProgress(l.Progress(), 0, 0, -1); got.Rows != 6 || got.Bytes != 12 {
		t.Errorf("%+v, want 6 rows and 12 bytes", got)
	}
}
