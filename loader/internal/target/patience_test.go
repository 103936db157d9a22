package target

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestPatienceSaysWhatFor holds that it is said what is waited for, and for how long.
func TestPatienceSaysWhatFor(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"53300": "waiting for a connection that a server has to spare; trying again for up to 1m0s",
		"53100": "waiting for room on a server's disk;",
		"55P03": "waiting for a lock that another session has;",
		"57P01": "waiting for a server that shuts down or ends sessions;",
		"08006": "waiting for a server that another one does not reach;",
		"XX000": "a server fails; trying again for up to 1m0s",
	} {
		p := Patience{Limit: time.Minute}
		if _, tell, err := p.fail(&pgconn.PgError{Code: code}); err != nil || !strings.HasPrefix(tell, want) {
			t.Errorf("%s: %q, error %v; want %q", code, tell, err, want)
		}
	}
}
