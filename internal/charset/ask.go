package charset

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
	"shardload/internal/server"
)

// An asker asks a server what sequences mean, on a connection that it makes when it is first needed.
type asker struct {
	c    *Converter
	conn *pgconn.PgConn
}

func (a *asker) close() {
	if a.conn != nil {
		server.CloseSoon(a.conn)
		a.conn = nil
	}
}

// ask learns what the sequences mean.
func (a *asker) ask(ctx context.Context, unknown map[string]bool) error {
	found := map[string]string{}
	err := a.halve(ctx, slices.Sorted(maps.Keys(unknown)), found)
	a.c.mu.Lock()
	defer a.c.mu.Unlock()
	for sequence, text := range found {
		if _, is := a.c.known[sequence]; !is && text[0] == markBegin {
			a.c.invalid++
		}
		a.c.known[sequence] = text
	}
	a.c.back = nil
	if err == nil && a.c.invalid > maxInvalid {
		err = fmt.Errorf("more than %d different byte sequences are no characters of encoding %q: is it another one?", maxInvalid, a.c.encoding)
	}
	return err
}

// halve asks about sequences at once, and by halves where one of them is no character.
func (a *asker) halve(ctx context.Context, sequences []string, found map[string]string) error {
	if len(found) > maxInvalid && !slices.ContainsFunc(slices.Collect(maps.Values(found)), func(s string) bool { return s[0] != markBegin }) {
		return nil // enough is known
	}
	texts, err := a.query(ctx, sequences)
	switch {
	case err == nil:
		for i, sequence := range sequences {
			found[sequence] = texts[i]
		}
		return nil
	case !isInvalid(err):
		return err
	case len(sequences) == 1:
		found[sequences[0]] = mark([]byte(sequences[0]))
		return nil
	}
	half := len(sequences) / 2
	if err := a.halve(ctx, sequences[:half], found); err != nil {
		return err
	}
	return a.halve(ctx, sequences[half:], found)
}

// isInvalid reports whether the server says that a sequence is no character, or none that UTF-8 has.
func isInvalid(err error) bool {
	return fault.Is(err, fault.BadEncoding, fault.Untranslatable)
}

// query returns what the sequences are in UTF-8. A connection that was lost is made once more.
func (a *asker) query(ctx context.Context, sequences []string) (texts []string, err error) {
	if texts, err = a.try(ctx, sequences); err != nil && ctx.Err() == nil && a.conn != nil && a.conn.IsClosed() {
		texts, err = a.try(ctx, sequences)
	}
	if err != nil && !isInvalid(err) {
		err = fmt.Errorf("ask the server for characters of encoding %q: %w", a.c.encoding, err)
	}
	return texts, err
}

func (a *asker) try(ctx context.Context, sequences []string) (texts []string, err error) {
	if a.conn == nil || a.conn.IsClosed() {
		if a.conn, err = a.c.connect(ctx); err != nil {
			return nil, err
		}
	}
	var list bytes.Buffer // of bytea, as an array
	list.WriteByte('{')
	for i, sequence := range sequences {
		if i > 0 {
			list.WriteByte(',')
		}
		list.WriteString(`"\\x` + hex.EncodeToString([]byte(sequence)) + `"`)
	}
	list.WriteByte('}')
	const sql = `SELECT pg_catalog.encode(pg_catalog.convert(v, $2::text::name, 'UTF8'), 'hex')
		FROM pg_catalog.unnest($1::pg_catalog.bytea[]) WITH ORDINALITY AS u(v, n) ORDER BY n`
	result := a.conn.ExecParams(ctx, sql, [][]byte{list.Bytes(), []byte(a.c.encoding)}, nil, nil, nil).Read()
	if result.Err != nil {
		return nil, result.Err
	}
	if len(result.Rows) != len(sequences) {
		return nil, fmt.Errorf("%d characters were asked for, and %d came", len(sequences), len(result.Rows))
	}
	for _, row := range result.Rows {
		text, err := hex.DecodeString(string(row[0]))
		if err != nil || len(text) == 0 {
			return nil, fmt.Errorf("a character came as %q", row[0])
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}

// Encode appends text, which was converted, as it was before. Where two sequences are the same
// character it takes one of them.
func (c *Converter) Encode(dst, text []byte) []byte {
	back, longest := c.reverse()
	for len(text) > 0 {
		switch b := text[0]; {
		case b < 0x80:
			dst, text = append(dst, b), text[1:]
			continue
		case b == markBegin:
			sequence, n := unmark(text)
			dst, text = append(dst, sequence...), text[n:]
			continue
		}
		n := min(longest, len(text))
		for ; n > 1; n-- {
			if sequence, ok := back[string(text[:n])]; ok {
				dst = append(dst, sequence...)
				break
			}
		}
		if n <= 1 { // it cannot be: all of text was converted
			dst, n = append(dst, text[0]), 1
		}
		text = text[n:]
	}
	return dst
}

// reverse returns the sequence of each text, and the length of the longest text.
func (c *Converter) reverse() (back map[string]string, longest int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.back == nil {
		c.back = map[string]string{}
		for _, sequence := range slices.Sorted(maps.Keys(c.known)) {
			if text := c.known[sequence]; c.back[text] == "" {
				c.back[text] = sequence
			}
		}
	}
	for text := range c.back {
		longest = max(longest, len(text))
	}
	return c.back, longest
}
