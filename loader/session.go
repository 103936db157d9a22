package loader

import (
	"context"
	"fmt"
	"strings"
)

// A session is the settings under which text means what it means. Every batch
// sets them: a worker's own may differ from the coordinator's.
type session struct {
	timeZone, dateStyle, intervalStyle string
	monetary                           string // "" if the table has no column of type money
	encoding                           string // the server's
	arrayNulls                         string // whether NULL in an array means NULL
}

// readSession reads the settings of the control connection.
func (l *Loader) readSession(ctx context.Context) error {
	s := &l.session
	err := l.control.QueryRow(ctx, `SELECT current_setting('TimeZone'), current_setting('DateStyle'),
		current_setting('IntervalStyle'), current_setting('lc_monetary'), current_setting('array_nulls')`).
		Scan(&s.timeZone, &s.dateStyle, &s.intervalStyle, &s.monetary, &s.arrayNulls)
	if err != nil {
		return fmt.Errorf("the settings of the server: %w", err)
	}
	s.encoding = l.server.Encoding
	const money = 790 // its OID
	for _, c := range l.table.Columns {
		if c.BaseOID == money {
			return nil
		}
	}
	s.monetary = "" // a node need not even have that locale
	return nil
}

// begin returns the statements that open a batch's transaction. What they set
// could break a long load or read values differently; SET LOCAL also holds behind
// a connection pooler.
//
// The client encoding is the server's, whatever the input's: a Citus coordinator
// converts what it sends to the workers into the client's encoding, and they
// refuse it. CSV rows name their encoding in the COPY, and binary rows hold text
// only where the encodings agree on it.
func (s session) begin() string {
	return "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; " +
		"SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0; " + s.set(s.encoding)
}

// set returns the statements that make text of that encoding mean what it means in
// batches, until the end of the transaction.
func (s session) set(encoding string) string {
	var b strings.Builder
	for _, v := range [][2]string{{"TimeZone", s.timeZone}, {"DateStyle", s.dateStyle}, {"IntervalStyle", s.intervalStyle},
		{"lc_monetary", s.monetary}, {"array_nulls", s.arrayNulls}, {"client_encoding", encoding}} {
		if v[1] != "" {
			b.WriteString("SET LOCAL " + v[0] + " = " + quoteLiteral(v[1]) + "; ")
		}
	}
	return b.String()
}

// reading says in words what may decide how the server reads a value.
func (s session) reading() string {
	return fmt.Sprintf("TimeZone %s, DateStyle %s, IntervalStyle %s", s.timeZone, s.dateStyle, s.intervalStyle)
}
