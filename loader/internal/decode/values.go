package decode

import (
	"slices"
	"strconv"

	"shardload/internal/input"
	"shardload/internal/pgcopy"
	"shardload/internal/pgcsv"
)

// A subject is the record of which values are wanted. Its fields are in the decoder.
type subject struct {
	c          *input.Chunk
	raw        []byte // the record in c's data
	index      int    // of the record in c
	line       int64  // counted from c's first
	start, end int32  // of raw
}

// fieldValues finds the values of records, as they are and encoded. It stays with one goroutine.
type fieldValues struct {
	lay     *Layout
	of      subject
	fields  []pgcsv.Field // of its record
	scratch []byte        // unquoted values
	ends    []int32       // of the fields of the row that is being encoded; 0 for NULL
	known   known
	key     []byte
	answers []answer // one for each of the chunk's records, where the server computes a value
}

// subject makes r, which is record i of c, the one of which values are wanted, and finds its
// fields.
func (fv *fieldValues) subject(c *input.Chunk, i int, r *record) *subject {
	fv.of = subject{c: c, raw: c.Data[r.start:r.end], index: i, line: int64(r.line), start: r.start, end: r.end}
	fv.fields = fv.lay.split(fv.fields[:0], fv.of.raw)
	fv.scratch = fv.scratch[:0]
	return &fv.of
}

// value returns the value of column i, NULL or not. It is good until fv.scratch is emptied.
func (fv *fieldValues) value(of *subject, i int) (v []byte, null bool) {
	field := i
	var nullIf []string
	if m := fv.lay.mapping; m != nil {
		s := &m.sources[i]
		if s.From != FromField {
			return fv.made(of, s)
		}
		field, nullIf = s.Field, s.NullIf
	}
	return fv.field(of, field, nullIf)
}

// field returns the value of a field, NULL if its text is one of nullIf.
func (fv *fieldValues) field(of *subject, field int, nullIf []string) (v []byte, null bool) {
	f, nulls := &fv.fields[field], &fv.lay.Nulls
	if f.Quote|f.Escape == 0 && nullIf == nil && !nulls.Some() { // as nearly always
		if v = of.raw[f.Start:f.End]; string(v) == nulls.Null {
			return nil, true
		}
		return v, false
	}
	if isNull := f.IsNull(of.raw, nulls.Null); isNull && !nulls.Some() || nulls.Some() && nulls.Is(field, *f, of.raw) {
		return nil, true
	}
	v, fv.scratch = f.Value(of.raw, fv.scratch)
	return v, nullIf != nil && slices.Contains(nullIf, string(v))
}

// made returns the value of a source that is no field.
func (fv *fieldValues) made(of *subject, s *Source) (v []byte, null bool) {
	switch s.From {
	case FromLine:
		at := of.c.Origin(of.index, of.line, of.start, of.end)
		n := len(fv.scratch)
		fv.scratch = strconv.AppendInt(fv.scratch, of.c.Line+at.Line, 10)
		return fv.scratch[n:], false
	case FromServer:
		if of.index >= len(fv.answers) {
			return nil, true
		}
		v = fv.answers[of.index].value
		return v, v == nil
	case FromRecord:
		return of.c.Original(of.c.Origin(of.index, of.line, of.start, of.end)), false
	}
	return s.Const, s.Const == nil
}

// appendMapped appends the fields of the binary row of a record, and reports whether they are sure.
func (fv *fieldValues) appendMapped(rows []byte, of *subject) (_ []byte, sure bool) {
	m, null := fv.lay.mapping, fv.lay.Nulls.Null
	encoders, ends := fv.lay.Encoders[:len(m.sources)], fv.ends[:len(m.sources)]
	for i := range m.sources {
		s := &m.sources[i]
		var v []byte
		isNull := false
		switch {
		case s.From == FromField:
			f := &fv.fields[s.Field]
			if v = of.raw[f.Start:f.End]; f.Quote != 0 || f.Escape != 0 || len(v) == len(null) && string(v) == null {
				isNull = fv.lay.Nulls.Is(s.Field, *f, of.raw)
				v, fv.scratch = f.Value(of.raw, fv.scratch)
			}
			if s.NullIf != nil {
				isNull = isNull || isOne(v, s.NullIf)
			}
		case m.binary[i] != nil:
			rows = append(rows, m.binary[i]...)
			if ends[i] = 0; s.Const != nil {
				ends[i] = int32(len(rows))
			}
			continue
		default:
			v, isNull = fv.value(of, i)
		}
		if isNull {
			rows = pgcopy.AppendNull(rows)
			ends[i] = 0
			continue
		}
		if rows, sure = encoders[i](rows, v); !sure {
			return rows, false
		}
		ends[i] = int32(len(rows))
	}
	return rows, true
}

// isOne reports whether v is one of texts.
func isOne(v []byte, texts []string) bool {
	for _, text := range texts {
		if string(v) == text { // which copies nothing
			return true
		}
	}
	return false
}

// appendFields appends the fields of the binary row of a record whose fields are the columns, and
// reports whether they are sure.
func (fv *fieldValues) appendFields(rows, raw []byte) (_ []byte, sure bool) {
	fields, nulls := fv.fields, &fv.lay.Nulls
	null, forced := nulls.Null, nulls.Some()
	encoders, ends := fv.lay.Encoders[:len(fields)], fv.ends[:len(fields)]
	for i := range fields {
		f := &fields[i]
		v := raw[f.Start:f.End]
		isNull := false
		if f.Quote != 0 {
			v, fv.scratch = f.Value(raw, fv.scratch)
			isNull = forced && nulls.Forced(i, v)
		} else if len(v) == len(null) && string(v) == null {
			isNull = !forced || !nulls.Kept(i)
		} else if f.Escape != 0 {
			v, fv.scratch = f.Value(raw, fv.scratch)
		}
		if isNull {
			rows = pgcopy.AppendNull(rows)
			ends[i] = 0
			continue
		}
		if rows, sure = encoders[i](rows, v); !sure {
			return rows, false
		}
		ends[i] = int32(len(rows))
	}
	return rows, true
}
