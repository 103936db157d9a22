package loader

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"shardload/internal/pgtest"
	"shardload/schema"
)

// BenchmarkSelect is what a list costs the client that is read here, beside the same file without
// one: CPU time from reading to batches, in turns. The list names all columns in another order.
func BenchmarkSelect(b *testing.B) {
	ads := adsTable(b)
	path := adsFile(b, ads)
	dsn := pgtest.Plain(b)
	s := &benchServer{conn: pgtest.Connect(b, dsn)}
	s.run(b, schema.Lookup("ads").CreateSQL())
	s.run(b, schema.Lookup("ads").PrimaryKeySQL())
	plain, mapped := openAds(b, dsn, 0, RouteAuto), openAds(b, dsn, 0, RouteAuto)
	mapped.cfg.Select = `updated_at, created_at, clicks_count, impressions_count, target_url, nullif(image_url, 'none') AS image_url, name, campaign_id, company_id, id`
	var took [2]time.Duration
	for b.Loop() {
		for i, l := range []*Loader{plain, mapped} {
			ld, first := setUp(b, l, path, RouteCoordinator, 1)
			began := clientCPU(b)
			g, ctx := errgroup.WithContext(b.Context())
			g.Go(func() error { return swallow(ctx, ld.Lanes, true) })
			if err := errors.Join(decodeAll(ctx, ld, first, true), g.Wait()); err != nil {
				b.Fatal(err)
			}
			took[i] += clientCPU(b) - began
		}
	}
	rows := float64(ads.Rows()) * float64(b.N)
	b.ReportMetric(took[0].Seconds()*1e9/rows, "plain-ns/row")
	b.ReportMetric(took[1].Seconds()*1e9/rows, "list-ns/row")
	b.ReportMetric(float64(took[0])/float64(took[1]), "plain/list")
	closeLoader(b, plain)
	closeLoader(b, mapped)
}
