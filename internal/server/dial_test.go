package server

import (
	"encoding/binary"
	"io"
	"net"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
)

// No statement has a name: behind a pooler of transactions another server may get the
// next one. All connections come from Open and Target.Connect, and no code prepares.
func TestNoNamedStatements(t *testing.T) {
	names := make(chan string, 10)
	cfg := aServer(t, func(conn net.Conn) {
		_, _ = conn.Write(letIn)
		for {
			head := make([]byte, 5)
			if _, err := io.ReadFull(conn, head); err != nil {
				return
			}
			body := make([]byte, binary.BigEndian.Uint32(head[1:])-4)
			if _, err := io.ReadFull(conn, body); err != nil {
				return
			}
			switch head[0] {
			case 'P':
				name, _, _ := strings.Cut(string(body), "\x00")
				names <- name
			case 'S':
				_, _ = conn.Write(message(t, &pgproto3.ErrorResponse{Severity: "ERROR", Code: "22000", Message: "no"}))
				_, _ = conn.Write([]byte("Z\x00\x00\x00\x05I"))
			}
		}
	})
	// Whatever the connection string or the caller chooses.
	cfg.DefaultQueryExecMode = 0
	conn, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for range 2 {
		if _, err := conn.Exec(t.Context(), "SELECT $1::int", 1); err == nil {
			t.Error("no error of the server")
		}
		select {
		case name := <-names:
			if name != "" {
				t.Errorf("a statement is called %q", name)
			}
		default:
			t.Error("no statement was sent")
		}
	}
}

// requirepeer is kept: who runs the server behind a socket is made sure of.
func TestRequirePeer(t *testing.T) {
	if !knowsPeers {
		t.Skip("the owner of a server cannot be found out here")
	}
	withoutEnvironment(t)
	dir := t.TempDir()
	listener, err := net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				readBody(conn)
				_, _ = conn.Write(letIn)
			}()
		}
	}()
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	for name, ok := range map[string]bool{me.Username: true, "somebody-else": false} {
		cfg, err := Parse("user=me host="+dir+" requirepeer="+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := Open(t.Context(), cfg)
		if (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
		if conn != nil {
			conn.Close(t.Context())
		}
	}
}
