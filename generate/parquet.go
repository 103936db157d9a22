package generate

import (
	"context"
	"errors"
	"io"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress"
	"golang.org/x/sync/errgroup"

	"shardload/internal/checksum"
)

// groupBlocks is how many blocks of a table are a row group of its Parquet file: 65,536 rows,
// some 8 MiB of ads before they are packed.
const groupBlocks = 16

// The columns of the tables, with the types that fit those of the server. Times have no zone.
var parquetSchemas = [kinds]*parquet.Schema{
	companies: parquet.SchemaOf(struct {
		ID        int32  `parquet:"id"`
		Name      string `parquet:"name,dict"`
		ImageURL  string `parquet:"image_url"`
		CreatedAt int64  `parquet:"created_at,timestamp(microsecond:local)"`
		UpdatedAt int64  `parquet:"updated_at,timestamp(microsecond:local)"`
	}{}),
	campaigns: parquet.SchemaOf(struct {
		ID            int32    `parquet:"id"`
		CompanyID     int32    `parquet:"company_id"`
		Name          string   `parquet:"name,dict"`
		CostModel     string   `parquet:"cost_model,dict"`
		State         string   `parquet:"state,dict"`
		MonthlyBudget *int32   `parquet:"monthly_budget"`
		Sites         []string `parquet:"blacklisted_site_urls,optional,list"`
		CreatedAt     int64    `parquet:"created_at,timestamp(microsecond:local)"`
		UpdatedAt     int64    `parquet:"updated_at,timestamp(microsecond:local)"`
	}{}),
	ads: parquet.SchemaOf(struct {
		ID          int32  `parquet:"id"`
		CompanyID   int32  `parquet:"company_id"`
		CampaignID  int32  `parquet:"campaign_id"`
		Name        string `parquet:"name,dict"`
		ImageURL    string `parquet:"image_url"`
		TargetURL   string `parquet:"target_url"`
		Impressions int64  `parquet:"impressions_count"`
		Clicks      int64  `parquet:"clicks_count"`
		CreatedAt   int64  `parquet:"created_at,timestamp(microsecond:local)"`
		UpdatedAt   int64  `parquet:"updated_at,timestamp(microsecond:local)"`
	}{}),
}

// parquetCodecs compress the pages of Parquet files.
var parquetCodecs = map[Compression]compress.Codec{Snappy: &parquet.Snappy, Gzip: &parquet.Gzip, Zstd: &parquet.Zstd}

// streamParquet is stream for a Parquet file. A maker fills and packs whole row groups, two at a
// time, and one goroutine more writes them in order.
func (t *Table) streamParquet(ctx context.Context, w io.Writer, out Output) (File, error) {
	if t.d.flaws.any() {
		return File{}, errNoDamage
	}
	s := newSink(t, w, nil, out)
	file := parquet.NewGenericWriter[any](s.digest, parquetSchemas[t.kind], parquet.Compression(parquetCodecs[out.Compression]), parquet.CreatedBy("shardload", "1", ""))
	groups := (t.Len() + groupBlocks - 1) / groupBlocks
	makers := make([]groupMaker, min(int64(t.d.cfg.Procs), groups))
	g, ctx := errgroup.WithContext(ctx)
	for i := range makers {
		makers[i] = newGroupMaker(t, file, out)
		g.Go(func() error { return makers[i].run(ctx, int64(i), groups, int64(len(makers))) })
	}
	g.Go(func() error { return s.collectGroups(ctx, makers, groups) })
	if err := g.Wait(); err != nil {
		return File{}, err
	}
	if err := file.Close(); err != nil {
		return File{}, err
	}
	f := s.file(nil)
	f.Unpacked = 0 // nobody unpacks it
	if !out.NoChecksums {
		sums := checksum.NewAccumulator(t.Header())
		for i := range makers {
			sums.Merge(makers[i].sums)
		}
		f.Checksums = checksumsOf(sums.Table())
	}
	return f, nil
}

// errNoDamage is of records that are damaged in ways which values with types do not have.
var errNoDamage = errors.New("a Parquet file cannot hold damaged records: write them as CSV, text or JSON")

// collectGroups writes the row groups of makers.
func (s *sink) collectGroups(ctx context.Context, makers []groupMaker, groups int64) error {
	for i := range groups {
		m := &makers[i%int64(len(makers))]
		rows, err := receive(ctx, m.made)
		if err != nil {
			return err
		}
		before := s.digest.bytes
		n, err := rows.Commit()
		s.progress.Bytes.Add(s.digest.bytes - before)
		if err != nil {
			return err
		}
		s.records += n
		s.progress.Rows.Add(n)
		m.free <- rows // one of two, in a channel for two
	}
	return nil
}

// A groupMaker is a goroutine that makes row groups.
type groupMaker struct {
	printer    // whose checksums alone are used
	values     columnValues
	made, free chan *parquet.ConcurrentRowGroupWriter
}

func newGroupMaker(t *Table, file *parquet.GenericWriter[any], out Output) groupMaker {
	m := groupMaker{
		printer: printer{t: t, form: &t.d.plain},
		values:  columnValues{columns: make([][]parquet.Value, len(t.Header()))},
		made:    make(chan *parquet.ConcurrentRowGroupWriter, 2),
		free:    make(chan *parquet.ConcurrentRowGroupWriter, 2),
	}
	if !out.NoChecksums {
		m.sums = checksum.NewAccumulator(t.Header())
	}
	for range cap(m.free) {
		m.free <- file.BeginRowGroup()
	}
	return m
}

func (m *groupMaker) run(ctx context.Context, first, groups, step int64) error {
	for i := first; i < groups; i += step {
		rows, err := receive(ctx, m.free)
		if err != nil {
			return err
		}
		for block := i * groupBlocks; block < min((i+1)*groupBlocks, m.t.Len()); block++ {
			if err := m.add(rows, block); err != nil {
				return err
			}
		}
		if err := rows.Flush(); err != nil {
			return err
		}
		m.made <- rows // one of two, in a channel for two
	}
	return nil
}

// add adds the rows of a block.
func (m *groupMaker) add(rows *parquet.ConcurrentRowGroupWriter, i int64) error {
	m.values.reset()
	var b block
	b.open(m.t, i)
	for c := b.next(); c != nil; c = b.next() {
		m.values.row(m.t.d, m.t.kind, c)
		if m.sums != nil {
			m.sum(c, nil)
		}
	}
	for i, w := range rows.ColumnWriters() {
		if _, err := w.WriteRowValues(m.values.columns[i]); err != nil {
			return err
		}
	}
	return nil
}

// columnValues are the values of rows, column by column.
type columnValues struct {
	columns [][]parquet.Value
	next    int    // column that gets the next value
	text    []byte // to which values of text refer
}

func (v *columnValues) reset() {
	for i := range v.columns {
		v.columns[i] = v.columns[i][:0]
	}
	// What values refer to must stay: the writer has copied it by now.
	v.text = v.text[:0]
}

func (v *columnValues) add(value parquet.Value, definition int) {
	v.columns[v.next] = append(v.columns[v.next], value.Level(0, definition, v.next))
	v.next++
}

func (v *columnValues) id(n int64) { v.add(parquet.Int32Value(int32(n)), 0) }

func (v *columnValues) long(n int64) { v.add(parquet.Int64Value(n), 0) }

// time adds a time, counted in seconds of the dataset's calendar.
func (v *columnValues) time(seconds int64) {
	v.add(parquet.Int64Value(timestamp(seconds).UnixMicro()), 0)
}

// written adds what was appended to v.text since it was that long.
func (v *columnValues) written(start int) {
	v.add(parquet.ByteArrayValue(v.text[start:len(v.text):len(v.text)]), 0)
}

// row adds the row of c.
func (v *columnValues) row(d *Dataset, k kind, c *cursor) {
	v.next = 0
	switch k {
	case companies:
		d.companyRow(c).add(v, &d.plain)
	case campaigns:
		d.campaignRow(c).add(v, &d.plain)
	default:
		row := d.adRow(c)
		row.add(v, &d.plain)
	}
}

func (r companyRow) add(v *columnValues, plain *dialect) {
	v.id(r.id)
	start := len(v.text)
	v.text = r.appendName(v.text, plain)
	v.written(start)
	start = len(v.text)
	v.text = r.appendImageURL(v.text)
	v.written(start)
	v.time(r.created)
	v.time(r.updated)
}

func (r campaignRow) add(v *columnValues, plain *dialect) {
	v.id(r.id)
	v.id(r.company)
	start := len(v.text)
	v.text = r.appendName(v.text, plain)
	v.written(start)
	v.add(parquet.ByteArrayValue([]byte(costModels[r.cost])), 0)
	v.add(parquet.ByteArrayValue([]byte(states[r.state])), 0)
	if r.budget == 0 {
		v.add(parquet.NullValue(), 0)
	} else {
		v.add(parquet.Int32Value(int32(r.budget)), 1)
	}
	r.sites.add(v)
	v.time(r.created)
	v.time(r.updated)
}

// Levels of a list that may be NULL, and whose elements may not.
const (
	noList    = 0
	emptyList = 1
	element   = 2
)

func (l siteList) add(v *columnValues) {
	switch {
	case l.null:
		v.add(parquet.NullValue(), noList)
		return
	case l.n == 0:
		v.add(parquet.NullValue(), emptyList)
		return
	}
	column := &v.columns[v.next]
	for i := range l.n {
		*column = append(*column, parquet.ByteArrayValue([]byte(sites[l.at(i)])).Level(min(i, 1), element, v.next))
	}
	v.next++
}

func (r *adRow) add(v *columnValues, plain *dialect) {
	v.id(r.id)
	v.id(r.company)
	v.id(r.campaign)
	start := len(v.text)
	v.text = r.appendName(v.text, plain)
	v.written(start)
	start = len(v.text)
	v.text = r.appendImageURL(v.text)
	v.written(start)
	start = len(v.text)
	v.text = r.appendTargetURL(v.text, plain)
	v.written(start)
	v.long(r.impressions)
	v.long(r.clicks)
	v.time(r.created)
	v.time(r.updated)
}
