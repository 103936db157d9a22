package generate

import (
	"encoding/json"
	"io"
)

// A damageList writes which records of a file are damaged, and counts them.
type damageList struct {
	w       io.Writer // nil: only count
	columns []string
	records map[Damage]int64
	bytes   int64
}

func newDamageList(w io.Writer, columns []string) *damageList {
	return &damageList{w: w, columns: columns, records: map[Damage]int64{}}
}

// add lists the damaged records of a block, of which the first is on this line.
func (l *damageList) add(first int64, block []damaged) error {
	for _, d := range block {
		l.records[d.damage]++
		if l.w == nil {
			continue
		}
		text, err := json.Marshal(DamagedRecord{Line: first + d.record, Damage: d.damage, Column: l.columns[d.column]})
		if err != nil {
			return err
		}
		n, err := l.w.Write(append(text, '\n'))
		l.bytes += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *damageList) summary() *Dirty { return &Dirty{Records: l.records, Bytes: l.bytes} }
