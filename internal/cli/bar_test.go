package cli

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jedib0t/go-pretty/v6/text"

	"shardload/loader/waiting"
)

// TestBarFits holds that the bar stays below the width of any terminal, whatever it shows, and
// that the percentage stays in it.
func TestBarFits(t *testing.T) {
	t.Parallel()
	now := time.Now()
	waits := []*waitView{
		nil,
		{waiting.Wait{For: "a lock on ads that process 7 of me (a long, long name of an application) has", Since: now.Add(-12 * time.Second)}},
		{waiting.Wait{For: "a server that starts or recovers", Since: now, Next: now.Add(3 * time.Second), Until: now.Add(5 * time.Minute)}},
	}
	for _, name := range []string{"ads", "a.much.longer.name.of.a.table.than.there.is.room", "名前名前名前名前名前名前"} {
		for _, far := range []snapshot{{}, {Rows: 1_234_567_890, Done: 40, Total: 100}, {Rows: 7, Bytes: 2e9, Done: 1 << 49, Total: 1 << 50}, {Rows: 5, Done: 9, Total: 9, Ending: true}} {
			for _, counts := range []bool{true, false} {
				for i, wait := range waits {
					for width := range 201 {
						v := view{name: name, now: now, snapshot: far, counts: counts, elapsed: time.Hour, rows: 724_000, bytes: 1e8}
						line := v.bar(wait, width)
						if n := text.StringWidth(line); n > max(width-1, 0) || strings.ContainsAny(line, "\r\n\x1b") {
							t.Fatalf("width %d, wait %d: %d columns: %q", width, i, n, line)
						}
						if counts && far.Total == 100 && width > len(name)+8 && !strings.Contains(line, "40%") {
							t.Fatalf("width %d, wait %d: no percentage in %q", width, i, line)
						}
					}
				}
			}
		}
	}
}

// TestBarSays holds what is shown where there is less and less room.
func TestBarSays(t *testing.T) {
	t.Parallel()
	v := view{name: "ads", counts: true, snapshot: snapshot{Rows: 1_000_000, Done: 50, Total: 100}, elapsed: 5 * time.Second, rows: 200_000}
	for width, want := range map[int]string{
		80: "ads 50% [=============>              ] 1,000,000 rows, 200,000 rows/s, 5 s left",
		60: "ads 50% 1,000,000 rows, 200,000 rows/s, 5 s left",
		40: "ads 50% 200,000 rows/s, 5 s left",
		20: "ads 50% 5 s left",
		10: "ads 50%",
	} {
		if got := v.bar(nil, width); got != want {
			t.Errorf("width %d: %q, want %q", width, got, want)
		}
	}
	v.Done, v.Rows = 99_999, 99_999
	if v.Total = 100_000; !strings.HasPrefix(v.bar(nil, 80), "ads 99%") {
		t.Errorf("nearly all is shown as %q", v.bar(nil, 80))
	}
	v.Done, v.Ending = v.Total, true
	if got := v.bar(nil, 60); !strings.HasPrefix(got, "ads 100%") || !strings.HasSuffix(got, ", ending") {
		t.Errorf("the end is shown as %q", got)
	}
}

// TestWaitView holds that of a wait the time comes first: of the next try or so far.
func TestWaitView(t *testing.T) {
	t.Parallel()
	now := time.Now()
	refused := &pgconn.PgError{Code: "57P03", Message: "the database system is starting up"}
	for _, tt := range []struct {
		wait        waiting.Wait
		long, short string
	}{
		{
			waiting.Wait{For: "a lock that process 7 has", Since: now.Add(-12 * time.Second)},
			"waiting 12 s for a lock that process 7 has", "waiting 12 s for a lock that process 7 has",
		},
		{
			waiting.Wait{For: "a server that starts or recovers", Err: refused, Next: now.Add(3 * time.Second), Until: now.Add(290 * time.Second)},
			"next try in 3 s: a server that starts or recovers; giving up in 4 min 50 s", "next try in 3 s: a server that starts or recovers",
		},
		{
			waiting.Wait{Err: errors.New("the peer\nis gone"), Next: now.Add(-time.Second), Until: now.Add(time.Minute)},
			"trying again: the peer is gone; giving up in 60 s", "trying again: the peer is gone",
		},
	} {
		w := &waitView{tt.wait}
		if got := w.long(now); got != tt.long {
			t.Errorf("got  %q\nwant %q", got, tt.long)
		}
		if got := w.short(now); got != tt.short {
			t.Errorf("got  %q\nwant %q", got, tt.short)
		}
	}
}

// TestSpeed holds that a rate is that of now: it follows work that becomes slower, and what
// earlier runs have stored is no part of it.
func TestSpeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		a := &activity{name: "ads", begun: begun, snap: func() snapshot {
			n := int64(time.Since(begun) / time.Second)
			rows := 1000 * min(n, 60) // and then 10 in a second
			rows += 10 * max(n-60, 0)
			return snapshot{Rows: 5_000_000 + rows, Before: 5_000_000, Done: n, Total: 120}
		}}
		for second := 1; second <= 90; second++ {
			for range 10 {
				time.Sleep(100 * time.Millisecond)
				a.look()
			}
			v := a.look()
			if want := int64(1000); second > 5 && second <= 60 && (v.rows < want*9/10 || v.rows > want*11/10) {
				t.Fatalf("after %d s: %d rows/s, want some %d", second, v.rows, want)
			}
			if second > 75 && v.rows > 12 {
				t.Fatalf("after %d s: %d rows/s, want some 10", second, v.rows)
			}
			if n := len(a.speed.looks); n > 30 {
				t.Fatalf("after %d s: %d looks are kept", second, n)
			}
		}
	})
}

// TestSpan holds how a time that goes on is written.
func TestSpan(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 400 * time.Millisecond: "0 s", 119 * time.Second: "119 s", 185 * time.Second: "3 min 5 s", 125 * time.Minute: "2 h 5 min",
	} {
		if got := span(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
