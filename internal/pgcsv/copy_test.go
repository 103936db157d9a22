package pgcsv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"shardload/internal/pgcsv"
	"shardload/internal/pgtest"
	"shardload/internal/server"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// null stands for NULL among values.
const null = "<null>"

// A writing is how a text is to be read.
type writing struct {
	pgcsv.Dialect
	columns         int
	force, forceNot []bool
}

// randomWriting returns one that COPY has.
func randomWriting(r *rand.Rand) writing {
	pick := func(from string) byte { return from[r.IntN(len(from))] }
	for {
		w := writing{Dialect: pgcsv.CSV.Dialect(), columns: 1 + r.IntN(3)}
		if r.IntN(4) == 0 {
			w.Dialect = pgcsv.Text.Dialect().With(pick("\t|,;"), []string{"", "", "|n", "a"}[r.IntN(4)])
		} else {
			w.Dialect = w.With(pick(",;|\t\\"), []string{"", "", "N", "aa", "\\N"}[r.IntN(5)]).Quoted(pick(`""'\a`), pick("\x00\x00\\\\\"'|,a"), false)
		}
		if w.Check() != nil {
			continue
		}
		if w.Format == pgcsv.CSV {
			w.force, w.forceNot = make([]bool, w.columns), make([]bool, w.columns)
			for i := range w.columns {
				w.force[i], w.forceNot[i] = r.IntN(3) == 0, r.IntN(3) == 0
			}
		}
		return w
	}
}

// options are w as COPY takes it.
func (w writing) options() string {
	text := fmt.Sprintf("FORMAT %s, DELIMITER %s, NULL %s", w.Format, server.Literal(string(w.Delimiter)), server.Literal(w.Null))
	if w.Format != pgcsv.CSV {
		return text
	}
	text += fmt.Sprintf(", QUOTE %s, ESCAPE %s", server.Literal(string(w.Quote)), server.Literal(string(w.Escape)))
	for option, flags := range map[string][]bool{"FORCE_NULL": w.force, "FORCE_NOT_NULL": w.forceNot} {
		var names []string
		for i, is := range flags {
			if is {
				names = append(names, fmt.Sprintf("c%d", i))
			}
		}
		if names != nil {
			text += fmt.Sprintf(", %s (%s)", option, strings.Join(names, ", "))
		}
	}
	return text
}

// randomText returns records, or what is hardly any, of bytes that mean something in w.
func randomText(r *rand.Rand, w writing) []byte {
	eol := []string{"\n", "\n", "\r\n", "\r"}[r.IntN(4)]
	special := []string{string(w.Delimiter), "a", "N", w.Null, "\\", ".", eol}
	if w.Format == pgcsv.CSV {
		special = append(special, string(w.Quote), string(w.Quote), string(w.Escape), string(w.Quote)+string(w.Quote), string(w.Escape)+string(w.Quote))
	}
	var b strings.Builder
	for range r.IntN(6) {
		for i := range w.columns {
			if i > 0 {
				b.WriteByte(w.Delimiter)
			}
			quoted := w.Format == pgcsv.CSV && r.IntN(3) == 0
			if quoted {
				b.WriteByte(w.Quote)
			}
			for range r.IntN(4) {
				b.WriteString(special[r.IntN(len(special)-r.IntN(2)*len(special)/2)])
			}
			if quoted {
				b.WriteByte(w.Quote)
			}
		}
		b.WriteString(eol)
	}
	in := b.String()
	if r.IntN(3) == 0 {
		in = strings.TrimSuffix(in, eol)
	}
	return []byte(in)
}

// errUnlike says that COPY and this package are known to differ.
var errUnlike = errors.New("COPY and this package differ here")

// read returns the values of in, which is cut into chunks of about that size, and an error if
// COPY would refuse them.
func (w writing) read(in []byte, size int) (rows []string, err error) {
	nulls := pgcsv.Nulls{Null: w.Null, Force: w.force, ForceNot: w.forceNot}
	c := pgcsv.NewChunker(bytes.NewReader(in), 1<<20)
	c.SetSize(size)
	c.SetDialect(w.Dialect)
	var s pgcsv.Scanner
	s.SetDialect(w.Dialect)
	var joined []byte
	for {
		chunk, err := c.Next(nil)
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		joined = append(joined, chunk...)
		if !bytes.HasPrefix(in, joined) {
			return nil, fmt.Errorf("%w: chunks do not add up", errUnlike)
		}
		for s.Reset(chunk, c.EOL(), 1); s.Next(); {
			record := s.Record()
			fields := s.AppendFields(nil)
			complaint := w.Complaint(record)
			switch {
			case pgcsv.IsEnd(record), strings.HasPrefix(complaint, "a backslash"):
				return nil, errUnlike // what follows is not looked at there
			case len(fields) != w.columns:
				return nil, fmt.Errorf("%d fields", len(fields))
			case s.LineBreak() != "", complaint != "":
				return nil, fmt.Errorf("%s%s", s.LineBreak(), complaint)
			}
			var row []string
			for i, f := range fields {
				v, _ := f.Value(record, nil)
				if nulls.Is(i, f, record) {
					v = []byte(null)
				}
				row = append(row, fmt.Sprintf("%q", v))
			}
			rows = append(rows, strings.Join(row, " "))
		}
	}
}

// copied returns what COPY makes of in.
func (w writing) copied(t *testing.T, conn *pgx.Conn, in []byte) (rows []string, err error) {
	ctx := context.Background()
	pgtest.Exec(t, conn, "BEGIN")
	defer pgtest.Exec(t, conn, "ROLLBACK")
	columns := strings.Join([]string{"c0", "c1", "c2"}[:w.columns], ", ")
	if _, err := conn.PgConn().CopyFrom(ctx, bytes.NewReader(in), fmt.Sprintf("COPY t (%s) FROM STDIN (%s)", columns, w.options())); err != nil {
		return nil, err
	}
	found, err := conn.Query(ctx, "SELECT "+columns+" FROM t ORDER BY n")
	if err != nil {
		t.Fatal(err)
	}
	for found.Next() {
		values, err := found.Values()
		if err != nil {
			t.Fatal(err)
		}
		var row []string
		for _, v := range values {
			if v == nil {
				v = null
			}
			row = append(row, fmt.Sprintf("%q", v))
		}
		rows = append(rows, strings.Join(row, " "))
	}
	return rows, found.Err()
}

// check compares them, wherever the text is cut.
func (w writing) check(t *testing.T, conn *pgx.Conn, in []byte) (refused, differs bool) {
	t.Helper()
	got, err := w.read(in, 1<<20)
	if errors.Is(err, errUnlike) || err != nil && bytes.Contains(in, []byte(`\.`)) || bytes.HasSuffix(in, []byte(`\.`)) {
		// The server takes what stands before that for all there is, and wants a line break
		// after it in some inputs.
		return false, false
	}
	for size := 1; size < len(in)+2; size++ {
		cut, cutErr := w.read(in, size)
		if (cutErr == nil) != (err == nil) || err == nil && !cmp.Equal(got, cut) {
			t.Fatalf("%q with %s, in chunks of %d: %v\n%s", in, w.options(), size, cutErr, cmp.Diff(got, cut))
		}
	}
	want, copyErr := w.copied(t, conn, in)
	if (copyErr == nil) != (err == nil) || err == nil && !cmp.Equal(want, got) {
		t.Errorf("%q with %s: COPY says %v, we say %v (-COPY +we):\n%s", in, w.options(), copyErr, err, cmp.Diff(want, got))
		return false, true
	}
	return err != nil, false
}

// Records and values are those that the server's own COPY finds, in every dialect, wherever a
// chunk ends; and what COPY refuses is refused.
func TestSameAsCopy(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	pgtest.Exec(t, conn, "CREATE TEMP TABLE t (n bigserial, c0 text, c1 text, c2 text)")
	taken, refused, failed := 0, 0, 0
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 16))
		w := randomWriting(r)
		no, differs := w.check(t, conn, randomText(r, w))
		switch {
		case differs:
			if failed++; failed > 5 {
				t.FailNow()
			}
		case no:
			refused++
		default:
			taken++
		}
	}
	if taken < 1000 || refused < 300 {
		t.Errorf("%d texts are taken, %d refused: the others say nothing", taken, refused)
	}
}

// FuzzDialects holds that where a text is cut changes no record, in a dialect that is one of
// COPY's or has no quotes.
func FuzzDialects(f *testing.F) {
	f.Add([]byte("1,'two\nlines\\'\\''\n2,'a \\' b'\n"), byte('\''), byte('\\'), byte(','), uint8(4))
	f.Add([]byte("1,\"two\n2,b\"\r\n"), byte(0), byte(0), byte(','), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, quote, escape, delimiter byte, size uint8) {
		w := writing{Dialect: pgcsv.CSV.Dialect().With(delimiter, "").Quoted(quote, escape, quote == 0)}
		if w.Check() != nil {
			return
		}
		records := func(size int) (list []string, err error) {
			c := pgcsv.NewChunker(bytes.NewReader(in), 1<<20)
			c.SetSize(size)
			c.SetDialect(w.Dialect)
			var s pgcsv.Scanner
			s.SetDialect(w.Dialect)
			for {
				chunk, err := c.Next(nil)
				if err != nil {
					return list, err
				}
				for s.Reset(chunk, c.EOL(), 1); s.Next(); {
					list = append(list, fmt.Sprintf("%q", w.Values(s.Record())))
				}
			}
		}
		whole, wholeErr := records(1 << 20)
		cut, cutErr := records(int(size) + 1)
		if !errors.Is(cutErr, wholeErr) {
			t.Fatalf("%v in chunks, %v as a whole", cutErr, wholeErr)
		}
		if wholeErr == io.EOF && !cmp.Equal(whole, cut) {
			t.Fatalf("%q: %s", in, cmp.Diff(whole, cut))
		}
	})
}
