package decode

import (
	"context"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// A delivery moves what a decoder has decoded into the lanes, a chunk at a time.
type delivery struct {
	*decoder
	lanes  *lane.Lanes
	groups *lane.Groups
	// reserved says that Deliver has made room for the rows of the chunk that was grouped last.
	reserved bool
	plain    bool        // of a record's origin the line is kept alone, which is that of its row
	at       lane.Origin // of the record that is being handed over
}

// To returns the delivery of what d decodes to l.
func (d *decoder) To(l *lane.Lanes) *delivery {
	return &delivery{decoder: d, lanes: l, groups: lane.NewGroups(l)}
}

// Group counts the decoded rows of c by their lanes, for Deliver. Rows of one lane go in one
// notation: in binary if all of them can.
func (d *delivery) Group(c *input.Chunk) error {
	if err := d.write(c); err != nil {
		return err
	}
	d.groups.Reset()
	d.reserved = false
	d.plain = c.Plain() && !d.lanes.Origins && d.lay.Record != Kept
	for i := range d.records {
		ln, as, row := d.row(c, &d.records[i])
		line, at := d.origin(c, i, as)
		d.groups.Count(ln, as, len(row), line, at)
	}
	return nil
}

// Deliver moves the rows of c into the lanes, which come to their end there: where they are, or
// at least room for them, which Copy fills. Chunks are delivered in the order of their numbers.
func (d *delivery) Deliver(ctx context.Context, c *input.Chunk) error {
	l := d.lanes
	if d.Sums {
		if err := l.Front().Enter(c.Raw(), decodedStarts{c, d.records}); err != nil {
			return err
		}
	}
	if err := d.enter(ctx, c); err != nil {
		return err
	}
	if d.Keeper != nil {
		d.Keeper.CountRead(l.Front().Added())
	}
	at := l.Front().Place()
	l.Finish(ledger.Place{Offset: at.Offset + c.Size, Line: at.Line + c.Lines, Records: at.Records + int64(len(d.records)), Sum: ledger.Join(at.Sum, c.Sum)})
	return nil
}

// enter makes room for the rows of c, or adds them one by one.
func (d *delivery) enter(ctx context.Context, c *input.Chunk) error {
	if !d.groups.AtOnce() {
		return d.add(ctx, c)
	}
	if err := d.countAside(c); err != nil {
		return err
	}
	err := d.groups.Reserve(ctx, lane.Origin{Line: c.Line, Offset: c.Offset})
	d.reserved = err == nil
	return err
}

// Copy copies the rows of c to where Deliver has made room for them, if it has. Those of other chunks may be
// delivered and copied at the same time.
func (d *delivery) Copy(c *input.Chunk) error {
	if !d.reserved {
		return nil
	}
	d.reserved = false
	for i := range d.records {
		r := &d.records[i]
		ln, as, row := d.row(c, r)
		line, at := d.origin(c, i, as)
		d.groups.Put(ln, as, row, line, at, r.key)
	}
	return d.groups.Copied()
}

// row returns the lane of r, and its row.
func (d *delivery) row(c *input.Chunk, r *record) (ln int, as lane.Notation, row []byte) {
	row = d.rows[r.binStart:r.binEnd]
	switch ln = int(r.lane); {
	case ln == laneAside:
		return 0, lane.NotationRejected, row
	case !d.csv[ln]:
		return ln, lane.NotationBinary, row
	case d.lay.mapping == nil && !d.lay.Rewritten():
		row = c.Data[r.start:r.end]
	}
	return ln, lane.NotationRecord, row
}

// origin returns on which line record i of c stands, the row of which is in that notation, and
// where, if anything of that is kept beside the line. Both count from where c begins.
func (d *delivery) origin(c *input.Chunk, i int, as lane.Notation) (line int64, at *lane.Origin) {
	if d.plain {
		return int64(d.records[i].line), nil
	}
	return d.wholeOrigin(c, i, as)
}

func (d *delivery) wholeOrigin(c *input.Chunk, i int, as lane.Notation) (line int64, at *lane.Origin) {
	r := &d.records[i]
	from := c.Origin(i, int64(r.line), r.start, r.end)
	d.at = lane.Origin{Line: from.Line, Offset: c.OffsetOf(from) - c.Offset, Size: int(from.End - from.Start)}
	if d.lay.Record == Kept && as != lane.NotationRejected {
		d.at.Record = c.Original(from)
	}
	return from.Line, &d.at
}

// write writes what is neither a binary row, nor sent as it was read: records that are kept
// aside, and those in another dialect.
func (d *delivery) write(c *input.Chunk) error {
	rewritten := d.lay.mapping == nil && d.lay.Rewritten()
	if len(d.aside) == 0 && !rewritten {
		return nil
	}
	for i := range d.records {
		r := &d.records[i]
		var row []byte
		switch {
		case r.lane == laneAside:
			row = d.rejected(c.Original(c.Origin(i, int64(r.line), r.start, r.end)), r)
		case rewritten && d.csv[r.lane]:
			row = d.sent(c.Data[r.start:r.end])
		default:
			continue
		}
		if len(d.rows)+len(row) > maxRows {
			at := c.Origin(i, int64(r.line), r.start, r.end)
			return &failure.RowError{File: d.name, Line: c.Line + at.Line, Err: failure.TooLongError(d.lay.maxRecord)}
		}
		r.binStart = int32(len(d.rows))
		d.rows = append(d.rows, row...)
		r.binEnd = int32(len(d.rows))
	}
	return nil
}

// add adds the rows of c one by one.
func (d *delivery) add(ctx context.Context, c *input.Chunk) error {
	l := d.lanes
	for i := range d.records {
		r := &d.records[i]
		ln, as, row := d.row(c, r)
		_, at := d.wholeOrigin(c, i, as)
		at.Line += c.Line
		at.Offset += c.Offset
		if err := l.Add(ctx, ln, as, row, at, r.key); err != nil {
			return err
		}
		if as == lane.NotationRejected && !l.Front().Passed() {
			if err := d.reject(r, at.Line, l.Front().Added()); err != nil {
				return err
			}
		}
	}
	return nil
}

// countAside counts the records of c that are kept aside as rejected, unless an earlier run did.
func (d *delivery) countAside(c *input.Chunk) error {
	if len(d.aside) == 0 {
		return nil
	}
	added := d.lanes.Front().Added()
	for i := range d.records {
		r := &d.records[i]
		if d.groups.Passes(max(int(r.lane), 0)) {
			continue
		}
		added++
		if r.lane == laneAside {
			from := c.Origin(i, int64(r.line), r.start, r.end)
			if err := d.reject(r, c.Line+from.Line, added); err != nil {
				return err
			}
		}
	}
	return nil
}

// reject counts r, which starts on line, as rejected. added is how many records have entered the
// lanes, it included.
func (d *delivery) reject(r *record, line, added int64) error {
	d.Keeper.CountRead(added)
	bad := *d.aside[r.key]
	bad.Line = line // that of a block was counted from its own first
	return d.Keeper.Reject(&bad)
}
