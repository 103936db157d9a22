package verify

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/generate"
	"shardload/internal/catalog"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
	"shardload/internal/pgtext"
)

// BenchmarkDecode hashes ads, without a server.
func BenchmarkDecode(b *testing.B) {
	data, err := generate.New(generate.Config{Companies: 1000, Campaigns: 20_000, Ads: 1_000_000})
	if err != nil {
		b.Fatal(err)
	}
	ads, err := data.Table("ads")
	if err != nil {
		b.Fatal(err)
	}
	d := newDeep(DeepConfig{Inputs: []Input{File("ads.csv")}})
	d.key = []int{1}
	lay := &layout{names: ads.Header()}
	for i, name := range lay.names {
		oid := uint32(pgtype.TextOID)
		switch name {
		case "id", "company_id", "campaign_id":
			oid = pgtype.Int4OID
		case "impressions_count", "clicks_count":
			oid = pgtype.Int8OID
		case "created_at", "updated_at":
			oid = pgtype.TimestampOID
		}
		form, _ := pgtext.For(oid, -1, pgtext.Options{UTF8: true})
		d.columns = append(d.columns, column{Column: &catalog.Column{Name: name}, form: form})
		lay.fields = append(lay.fields, i)
	}
	d.layouts = []*layout{lay}
	c := chunk{Chunk: &input.Chunk{Data: ads.AppendBlock(nil, 0), EOL: pgcsv.LF, Line: 1}}
	sums := newTotals(&d.selection)
	dec := newDecoder(d, sums)
	b.SetBytes(int64(len(c.Data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := dec.decode(context.Background(), c); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(sums.sums.Table().Rows)/b.Elapsed().Seconds(), "rows/s")
}
