package charset_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/charset"
	"shardload/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var encodings = []string{"SJIS", "SHIFT_JIS_2004", "BIG5", "GBK", "UHC", "GB18030", "JOHAB"}

// connector returns what makes connections to the server of dsn.
func connector(dsn string) func(context.Context) (*pgconn.PgConn, error) {
	return func(ctx context.Context) (*pgconn.PgConn, error) { return pgconn.Connect(ctx, dsn) }
}

// everyCharacter returns the characters of an encoding which the server has also in UTF-8, of one
// and two bytes, and some of four.
func everyCharacter(t *testing.T, conn *pgx.Conn, encoding string) (list [][]byte) {
	t.Helper()
	pgtest.Exec(t, conn, fmt.Sprintf(`DO $do$ DECLARE a int; b int; s bytea; BEGIN
		CREATE TEMP TABLE IF NOT EXISTS found (s bytea); TRUNCATE found;
		FOR a IN 128..254 LOOP
			BEGIN s := set_byte('\x00', 0, a); PERFORM convert(s, '%[1]s', 'UTF8'); INSERT INTO found VALUES (s); EXCEPTION WHEN others THEN NULL; END;
			FOR b IN 33..254 LOOP
				BEGIN s := set_byte(set_byte('\x0000', 0, a), 1, b); PERFORM convert(s, '%[1]s', 'UTF8'); INSERT INTO found VALUES (s); EXCEPTION WHEN others THEN NULL; END;
				IF '%[1]s' = 'GB18030' AND a < 136 AND b BETWEEN 48 AND 57 THEN
					BEGIN s := s || '\x8a36'; PERFORM convert(s, '%[1]s', 'UTF8'); INSERT INTO found VALUES (s); EXCEPTION WHEN others THEN NULL; END;
				END IF;
			END LOOP;
		END LOOP; END $do$`, encoding))
	rows, err := conn.Query(t.Context(), "SELECT s FROM found")
	if err != nil {
		t.Fatal(err)
	}
	if list, err = pgx.CollectRows(rows, pgx.RowTo[[]byte]); err != nil {
		t.Fatal(err)
	}
	return list
}

// Every character is what the server says, wherever reads end, and goes back to what the server takes
// for the same one.
func TestSameAsServer(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	for _, encoding := range encodings {
		t.Run(encoding, func(t *testing.T) {
			t.Parallel()
			conn := pgtest.Connect(t, dsn)
			list := everyCharacter(t, conn, encoding)
			if len(list) < 4000 {
				t.Fatalf("only %d characters", len(list))
			}
			rand.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
			text := append([]byte("plain,\"text\"\n"), bytes.Join(list, nil)...)
			text = append(text, bytes.Join(list, []byte("|a\\\n"))...)
			var want []byte
			if err := conn.QueryRow(t.Context(), "SELECT convert($1, $2::text::name, 'UTF8')", text, encoding).Scan(&want); err != nil {
				t.Fatal(err)
			}
			c := charset.New(encoding, connector(dsn))
			for name, r := range map[string]io.Reader{"whole": bytes.NewReader(text), "halves": iotest.HalfReader(bytes.NewReader(text)), "end with data": iotest.DataErrReader(bytes.NewReader(text))} {
				got, err := io.ReadAll(c.Reader(t.Context(), r))
				if err != nil || !bytes.Equal(got, want) {
					t.Fatalf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
				}
				if bad := c.Check(got); bad != nil {
					t.Errorf("%s: %v", name, bad)
				}
			}
			var again []byte
			if err := conn.QueryRow(t.Context(), "SELECT convert($1, $2::text::name, 'UTF8')", c.Encode(nil, want), encoding).Scan(&again); err != nil || !bytes.Equal(again, want) {
				t.Errorf("encoded as before: %d bytes, %v", len(again), err)
			}
		})
	}
}

// What is no character has a mark, from which its bytes come back, and no line break is lost in it.
func TestInvalid(t *testing.T) {
	t.Parallel()
	c := charset.New("gbk", connector(pgtest.Plain(t)))
	for in, want := range map[string]struct {
		sequence string
		clear    bool
	}{
		"a\x81\nb\xc4\xe3\n": {"\x81", true}, "\x81\x22,\n": {"\x81\x22", false}, "\xff\xff\n": {"\xff\xff", true}, "x\x81": {"\x81", true}, "\x80\x81": {"\x80\x81", true},
	} {
		got, err := c.Convert(t.Context(), []byte(in))
		bad := c.Check(got)
		if err != nil || bad == nil || string(bad.Sequence) != want.sequence || bad.Clear() != want.clear {
			t.Errorf("%q: %q, %v, %v; want %q, clear %v", in, got, err, bad, want.sequence, want.clear)
		}
		if strings.Count(string(got), "\n") != strings.Count(in, "\n") {
			t.Errorf("%q: %q has another number of lines", in, got)
		}
		if diff := cmp.Diff(in, string(c.Encode(nil, got))); diff != "" {
			t.Errorf("encoded as before (-want +got):\n%s", diff)
		}
	}
	rubbish := make([]byte, 1<<20)
	for i := range rubbish {
		rubbish[i] = 0x80 | byte(rand.N(128))
	}
	if _, err := charset.New("BIG5", connector(pgtest.Plain(t))).Convert(t.Context(), rubbish); err == nil || !strings.Contains(err.Error(), "is it another one?") {
		t.Errorf("rubbish: error %v", err)
	}
	refused := errors.New("refused")
	_, err := charset.New("BIG5", func(context.Context) (*pgconn.PgConn, error) { return nil, refused }).Convert(t.Context(), []byte("\xa4\xa4"))
	if !errors.Is(err, refused) {
		t.Errorf("no server: error %v", err)
	}
}

// Encodings which the server itself can use are none of these, by whatever name.
func TestIs(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"gbk": true, "WIN936": true, "Shift_JIS": true, "shift-jis-2004": true, "windows950": true, "UTF8": false, "EUC_JP": false, "LATIN1": false, "": false, "EUC_JIS_2004": false} {
		if charset.Is(name) != want || (charset.New(name, nil) != nil) != want {
			t.Errorf("%s: %v", name, !want)
		}
	}
}

// FuzzReader holds that where reads end changes nothing, that bytes come back, and that no line
// break is lost or made.
func FuzzReader(f *testing.F) {
	f.Add([]byte("a\x81\x5c|\n"), uint8(3))
	f.Add([]byte("\x81\x30\x81\x30\x8f\xa1\xa1\n"), uint8(5))
	dsn := pgtest.Plain(f)
	var converters []*charset.Converter
	for _, encoding := range encodings {
		converters = append(converters, charset.New(encoding, connector(dsn)))
	}
	f.Fuzz(func(t *testing.T, in []byte, of uint8) {
		c := converters[int(of)%len(converters)]
		whole, err := c.Convert(t.Context(), in)
		if err != nil {
			return // too many sequences are none
		}
		r := c.Reader(t.Context(), iotest.OneByteReader(bytes.NewReader(in)))
		defer r.Close()
		slow, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(whole, slow) {
			t.Fatalf("%q: %q, byte by byte %q, %v", in, whole, slow, err)
		}
		if bytes.Count(whole, []byte{'\n'}) != bytes.Count(in, []byte{'\n'}) {
			t.Fatalf("%q: %q has another number of lines", in, whole)
		}
		if again, err := c.Convert(t.Context(), c.Encode(nil, whole)); err != nil || !bytes.Equal(again, whole) {
			t.Fatalf("%q: %q, encoded and converted once more %q", in, whole, again)
		}
	})
}
