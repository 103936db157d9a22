package reject

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"shardload/internal/pgcsv"
)

// A rejectPlace is where an entry stands in the file, and its record in the input.
type rejectPlace struct{ record, entry int64 }

// writeCSV writes the original records of the log's entries beside it, in the order
// of the input, under the input's header. It writes all of them or nothing.
func (g *rejectLog) writeCSV(header []byte, eol pgcsv.EOL) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.f == nil || g.size == 0 {
		return nil
	}
	places, err := g.places()
	if err != nil {
		return keepError(err)
	}
	end := lineBreak(eol)
	return keepError(g.put(g.recordsOf(g.path), func(w io.Writer) error {
		if _, err := w.Write(header); err != nil {
			return err
		}
		for _, p := range places {
			var e rejectEntry
			if err := json.NewDecoder(io.NewSectionReader(g.f, p.entry, g.size-p.entry)).Decode(&e); err != nil {
				return err
			}
			if _, err := w.Write(append(e.bytes(g.oneLine), end...)); err != nil {
				return err
			}
		}
		return nil
	}, publishNew))
}

// places returns where the log's entries stand, in the order of their records.
func (g *rejectLog) places() ([]rejectPlace, error) {
	var places []rejectPlace
	r := bufio.NewReaderSize(io.NewSectionReader(g.f, 0, g.size), 64<<10)
	for at := int64(0); ; {
		line, err := r.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		var e struct {
			Offset int64 `json:"offset"`
		}
		if err := json.Unmarshal(line, &e); err != nil {
			return nil, fmt.Errorf("%s: byte %d: %w", g.path, at, err)
		}
		places = append(places, rejectPlace{e.Offset, at})
		at += int64(len(line))
	}
	slices.SortFunc(places, func(a, b rejectPlace) int { return cmp.Compare(a.record, b.record) })
	return places, nil
}

// lineBreak returns what ends a record.
func lineBreak(eol pgcsv.EOL) string {
	switch eol {
	case pgcsv.CRLF:
		return "\r\n"
	case pgcsv.CR:
		return "\r"
	}
	return "\n"
}
