package fault

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestPasses holds what another try may mend: servers and networks, never the
// files of this machine.
func TestPasses(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{fmt.Errorf("dial: %w", dial), true},
		{&net.DNSError{Err: "no such host"}, true},
		{syscall.ECONNRESET, true},
		{&pgconn.PgError{Code: "57P03"}, true},
		{&pgconn.PgError{Code: "23505"}, false},
		{&pgconn.PgError{Code: "08P01"}, false},
		{&fs.PathError{Op: "write", Path: "ads.rejects.jsonl", Err: syscall.ENOSPC}, false},
		{&fs.PathError{Op: "open", Path: "no/ads.csv", Err: syscall.ENOENT}, false},
		{errors.Join(&os.LinkError{Op: "rename", Err: syscall.EACCES}, syscall.EIO), false},
	} {
		if got := Passes(tt.err); got != tt.want {
			t.Errorf("%v: %t, want %t", tt.err, got, tt.want)
		}
	}
}
