package decode

import (
	"bytes"

	"shardload/internal/pgcsv"
)

// Rewritten reports whether records are sent in another dialect than that in which they are read,
// as COPY does not have it.
func (lay *Layout) Rewritten() bool { return lay.Sent != lay.Dialect }

// appendSent appends raw, the fields of which are given, as it is sent. Original takes it back.
func (lay *Layout) appendSent(dst, raw []byte, fields []pgcsv.Field) []byte {
	for i, f := range fields {
		if i > 0 {
			dst = append(dst, lay.Sent.Delimiter)
		}
		if lay.Nulls.Is(i, f, raw) {
			dst = append(dst, lay.Sent.Null...)
			continue
		}
		dst = pgcsv.AppendText(dst, raw[f.Start:f.End])
	}
	return dst
}

// Original appends the record that appendSent has made sent of.
func (lay *Layout) Original(dst, sent []byte) []byte {
	for i, f := range lay.Sent.AppendFields(nil, sent) {
		if i > 0 {
			dst = append(dst, lay.Dialect.Delimiter)
		}
		if f.IsNull(sent, lay.Sent.Null) {
			dst = append(dst, lay.Dialect.Null...)
			continue
		}
		var v []byte
		if v, dst = f.Value(sent, dst); f.Escape == 0 {
			dst = append(dst, v...)
		}
	}
	return dst
}

// fits reports whether raw, as it is sent, is no longer than a record may be.
func (lay *Layout) fits(raw []byte) bool {
	n := len(raw)
	if lay.Rewritten() {
		n += 2*len(lay.Columns) + bytes.Count(raw, []byte{'\\'}) + bytes.Count(raw, []byte{'\t'})
	}
	return n <= lay.maxRecord
}

// sent returns raw as it is sent if not in binary.
func (fv *fieldValues) sent(raw []byte) []byte {
	if !fv.lay.Rewritten() {
		return raw
	}
	fv.fields = fv.lay.split(fv.fields[:0], raw)
	fv.scratch = fv.lay.appendSent(fv.scratch[:0], raw, fv.fields)
	return fv.scratch
}
