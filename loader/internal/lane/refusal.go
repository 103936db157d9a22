package lane

import "encoding/binary"

// A Refusal is a row of a batch that the server does not take.
type Refusal struct {
	Section int // of the batch
	Row     RowRef
	Cause   Cause
}

// A Cause says why a record is rejected.
type Cause struct {
	Column   string // "" if the whole record is at fault
	SQLState string
	Reason   string
	Detail   string // of the reason, "" if there is none
}

// Append appends c and a record, for decodeRejected to read.
func (c Cause) Append(dst, record []byte) []byte {
	for _, s := range []string{c.Column, c.SQLState, c.Reason, c.Detail} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return append(dst, record...)
}

// DecodeRejected returns what append has written.
func DecodeRejected(b []byte) (c Cause, record []byte) {
	for _, s := range []*string{&c.Column, &c.SQLState, &c.Reason, &c.Detail} {
		n, k := binary.Uvarint(b)
		*s = string(b[k : k+int(n)])
		b = b[k+int(n):]
	}
	return c, b
}
