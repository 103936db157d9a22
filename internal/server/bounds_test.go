package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// message returns a message of a server.
func message(t *testing.T, m pgproto3.BackendMessage) []byte {
	t.Helper()
	b, err := m.Encode(nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Long errors are cut, whatever the pieces in which they come; all else stays as it is.
func TestTrimmer(t *testing.T) {
	short := message(t, &pgproto3.ErrorResponse{Severity: "ERROR", Code: "22P02", Message: "short"})
	row := message(t, &pgproto3.DataRow{Values: [][]byte{bytes.Repeat([]byte("v"), 300_000)}})
	long := message(t, &pgproto3.ErrorResponse{
		Severity: "ERROR", Code: "22P02",
		Message: "invalid: " + strings.Repeat("ä", 100_000), Where: strings.Repeat("PL/pgSQL function f() line 1\n", 9000) + "COPY t, line 7",
	})
	input := bytes.Join([][]byte{short, row, long, short, row}, nil)
	for name, r := range map[string]io.Reader{
		"whole": bytes.NewReader(input), "bytes": iotest.OneByteReader(bytes.NewReader(input)),
		"halves": iotest.HalfReader(bytes.NewReader(input)), "with time-outs": iotest.TimeoutReader(bytes.NewReader(input)),
	} {
		var got []byte
		trimmer := newTrimmer(r)
		buf := make([]byte, 1000)
		for {
			n, err := trimmer.Read(buf)
			got = append(got, buf[:n]...)
			if err == iotest.ErrTimeout {
				continue // the driver goes on, too
			}
			if err != nil {
				break
			}
		}
		head, tail := append(bytes.Clone(short), row...), append(bytes.Clone(short), row...)
		if !bytes.HasPrefix(got, head) || !bytes.HasSuffix(got, tail) {
			t.Errorf("%s: what is no long error was changed", name)
			continue
		}
		middle := got[len(head) : len(got)-len(tail)]
		if len(middle) > maxReport || int(binary.BigEndian.Uint32(middle[1:])) != len(middle)-1 {
			t.Errorf("%s: %d bytes, length %d", name, len(middle), binary.BigEndian.Uint32(middle[1:]))
			continue
		}
		var e pgproto3.ErrorResponse
		if err := e.Decode(middle[5:]); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if e.Code != "22P02" || !strings.HasPrefix(e.Message, "invalid: ä") || !utf8.ValidString(e.Message) || !strings.HasSuffix(e.Where, "\nCOPY t, line 7") {
			t.Errorf("%s: code %s, message %.20q…, context …%q", name, e.Code, e.Message, e.Where[max(0, len(e.Where)-30):])
		}
	}
}

// aServer accepts connections and lets anybody in, then does serve.
func aServer(t *testing.T, serve func(net.Conn)) *pgx.ConnConfig {
	t.Helper()
	withoutEnvironment(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				readBody(conn)
				serve(conn)
			}()
		}
	}()
	cfg, err := Parse("postgres://me@"+listener.Addr().String()+"/d?sslmode=disable", nil)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

var letIn = []byte("R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I")

// An error of 300 MB costs no memory, before the login and after it.
func TestHugeError(t *testing.T) {
	for _, greeting := range [][]byte{nil, letIn} {
		const size = 300 << 20
		cfg := aServer(t, func(conn net.Conn) {
			_, _ = conn.Write(greeting)
			if greeting != nil {
				_, _ = io.ReadFull(conn, make([]byte, 5))
			}
			_, _ = conn.Write(append(binary.BigEndian.AppendUint32([]byte("E"), size+4), "SERROR\x00C22P02\x00M"...))
			piece := bytes.Repeat([]byte("x"), 1<<20)
			for range size>>20 - 1 {
				_, _ = conn.Write(piece)
			}
			_, _ = conn.Write(append(bytes.Repeat([]byte("x"), 1<<20-15-2), 0, 0))
			_, _ = conn.Write([]byte("Z\x00\x00\x00\x05I"))
			time.Sleep(time.Second)
		})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		conn, err := Open(t.Context(), cfg)
		if greeting != nil {
			if err != nil {
				t.Fatal(err)
			}
			err = Exec(t.Context(), conn.PgConn(), "SELECT")
		}
		runtime.ReadMemStats(&after)
		pgErr, ok := errors.AsType[*pgconn.PgError](err)
		if !ok || len(pgErr.Message) > 2*maxField || len(pgErr.Message) < maxField {
			t.Errorf("%.100v", err)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > 4<<20 {
			t.Errorf("%d bytes of memory", spent)
		}
	}
}

// Another message may not be as long as it says.
func TestHugeMessage(t *testing.T) {
	cfg := aServer(t, func(conn net.Conn) {
		_, _ = conn.Write(letIn)
		_, _ = io.ReadFull(conn, make([]byte, 5))
		_, _ = conn.Write(binary.BigEndian.AppendUint32([]byte("D"), maxMessage+5))
		time.Sleep(time.Second)
	})
	conn, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := Exec(t.Context(), conn.PgConn(), "SELECT"); err == nil || !conn.IsClosed() {
		t.Errorf("%v", err)
	}
}

// A server that sends notices without end and reads nothing is given up.
func TestFlood(t *testing.T) {
	cfg := aServer(t, func(conn net.Conn) {
		_, _ = conn.Write(letIn)
		notice := message(t, &pgproto3.NoticeResponse{Severity: "NOTICE", Message: strings.Repeat("x", 50_000)})
		for {
			if _, err := conn.Write(notice); err != nil {
				return
			}
		}
	})
	conn, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := Exec(t.Context(), conn.PgConn(), strings.Repeat(" ", 32<<20)); err == nil || !conn.IsClosed() {
		t.Errorf("%v", err)
	}
}

// A server that starts, or has no connection left, is waited for; one that is not
// there, or does not know us, is not.
func TestOpenWithin(t *testing.T) {
	refuse := func(code string) []byte {
		return message(t, &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: code, Message: "no"})
	}
	for name, tt := range map[string]struct {
		answer []byte
		waits  bool
	}{
		"starts": {refuse("57P03"), true}, "full": {refuse("53300"), true}, "hangs up": {nil, true},
		"password": {refuse("28P01"), false}, "database": {refuse("3D000"), false},
	} {
		tries := make(chan struct{}, 100)
		cfg := aServer(t, func(conn net.Conn) {
			tries <- struct{}{}
			if len(tries) < 3 {
				_, _ = conn.Write(tt.answer)
				return
			}
			_, _ = conn.Write(letIn)
			time.Sleep(time.Second)
		})
		told := 0
		conn, err := OpenWithin(t.Context(), cfg, Patience{For: time.Minute, Tell: func(error) { told++ }})
		if tt.waits != (err == nil) || tt.waits != (told == 1) {
			t.Errorf("%s: %v, told %d times", name, err, told)
		}
		if err == nil {
			conn.Close(t.Context())
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	for _, dsn := range []string{"postgres://me@" + listener.Addr().String() + "/d?sslmode=disable", "host=/nowhere"} {
		cfg, err := Parse(dsn, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := OpenWithin(t.Context(), cfg, Patience{For: time.Minute, Tell: func(err error) { t.Errorf("%v is waited for", err) }}); err == nil {
			t.Error("no error")
		}
	}
}
