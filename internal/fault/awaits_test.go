package fault

import (
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
)

// TestAwaits holds that there is a word for each error of the classes of what passes on the
// server alone, and none for others.
func TestAwaits(t *testing.T) {
	for _, code := range sqlstates(t) {
		err := &pgconn.PgError{Code: code}
		class := code[:2]
		want := (class == "08" && code != ProtocolViolation || class == "53" || class == "55" || class == "57") && Passes(err)
		if got := Awaits(err); want && got == "" || !want && got != "" && (class != "08" || code == ProtocolViolation) && class != "53" && class != "55" && class != "57" {
			t.Errorf("%s: %q", code, got)
		}
	}
	for _, message := range []string{"sorry, too many clients already", "could not extend file: No space left on device", "the database system is in recovery mode"} {
		if Awaits(&pgconn.PgError{Code: InternalError, Message: message}) == "" {
			t.Errorf("nothing is said of %q", message)
		}
	}
}
