package target

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/loader/failure"
	"shardload/loader/waiting"
)

// TestPatienceSaysWhatFor holds that it is said what is waited for, and for how long.
func TestPatienceSaysWhatFor(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"53300": "waiting for a connection that a server has to spare; trying again for up to 1m0s",
		"53100": "waiting for room on a server's disk;",
		"55P03": "waiting for a lock that another session has;",
		"57P01": "waiting for a server that shuts down or ends sessions;",
		"08006": "waiting for a server that another one does not reach;",
		"XX000": "a server fails; trying again for up to 1m0s",
	} {
		p := Patience{Limit: time.Minute}
		if _, tell, err := p.fail(&pgconn.PgError{Code: code}); err != nil || !strings.HasPrefix(tell, want) {
			t.Errorf("%s: %q, error %v; want %q", code, tell, err, want)
		}
	}
}

// TestPatienceShows holds that what is waited for is shown with the next try and the end, as long
// as it is waited for: until it succeeds, is given up, or nobody wants it any more.
func TestPatienceShows(t *testing.T) {
	t.Parallel()
	starting := &pgconn.PgError{Code: "57P03"}
	log := slog.New(slog.DiscardHandler)
	for _, tt := range []struct {
		name string
		end  func(*Patience) error
	}{
		{"success", func(p *Patience) error { p.Succeed(log); return nil }},
		{"end", func(p *Patience) error { p.End(); return nil }},
		{"interrupt", func(p *Patience) error {
			ctx, stop := context.WithCancel(context.Background())
			stop()
			if err := p.Wait(ctx, log, starting); !errors.Is(err, context.Canceled) {
				return err
			}
			return nil
		}},
		{"gave up", func(p *Patience) error {
			time.Sleep(2 * time.Minute)
			if err := p.Wait(t.Context(), log, starting); !errors.As(err, new(*failure.GaveUpError)) {
				return err
			}
			return nil
		}},
	} {
		synctest.Test(t, func(t *testing.T) {
			p := &Patience{Limit: time.Minute, Waits: new(waiting.Waits)}
			begun := time.Now()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() { _ = p.Wait(ctx, log, starting) }()
			synctest.Wait()
			w, ok := p.Waits.Now()
			if !ok || w.For != "a server that starts or recovers" || !w.Next.After(begun) || !w.Until.Equal(begun.Add(time.Minute)) {
				t.Errorf("%s: shows %+v, %v", tt.name, w, ok)
			}
			time.Sleep(30 * time.Second)
			if err := tt.end(p); err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			if w, ok := p.Waits.Now(); ok {
				t.Errorf("%s: still shows %+v", tt.name, w)
			}
		})
	}
}
