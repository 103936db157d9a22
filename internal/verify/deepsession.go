package verify

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/catalog"
)

// A session is the settings under which the loader gave values to the server.
type session struct {
	timeZone, dateStyle, intervalStyle string
	monetary                           string // "" if the table has no column of type money
	server                             string // its encoding
	encoding                           string // of the inputs
	citus                              bool
}

// readSession reads the settings of conn, which are those that the loader found.
func readSession(ctx context.Context, conn *pgx.Conn, t *catalog.Table, encoding string) (session, error) {
	s := session{encoding: encoding}
	err := conn.QueryRow(ctx, `SELECT current_setting('TimeZone'), current_setting('DateStyle'), current_setting('IntervalStyle'),
		current_setting('lc_monetary'), current_setting('server_encoding'), EXISTS (SELECT FROM pg_extension WHERE extname = 'citus')`).
		Scan(&s.timeZone, &s.dateStyle, &s.intervalStyle, &s.monetary, &s.server, &s.citus)
	if err != nil {
		return s, fmt.Errorf("the settings of the server: %w", err)
	}
	const money, moneyArray = 790, 791 // their OIDs
	for _, c := range t.Columns {
		if c.BaseOID == money || c.BaseOID == moneyArray {
			return s, nil
		}
	}
	s.monetary = "" // a node need not even have that locale
	return s, nil
}

// utf8 reports whether text reaches the table byte for byte.
func (s session) utf8() bool { return isUTF8(s.encoding) && isUTF8(s.server) }

func isUTF8(encoding string) bool {
	name := strings.ToUpper(strings.NewReplacer("-", "", "_", "").Replace(encoding))
	return name == "UTF8" || name == "UNICODE"
}

// isUTC reports whether a time without a zone is one in UTC.
func (s session) isUTC() bool { return s.timeZone == "UTC" || s.timeZone == "Etc/UTC" }

// begin returns the statements that open a transaction in which values are written
// in one way only. On Citus they hold on the workers as well: a worker's own
// settings may be others. The client's encoding is the server's, since a
// coordinator passes it on to the workers.
func (s session) begin() string {
	propagate := ""
	if s.citus {
		propagate = "SET LOCAL citus.propagate_set_commands = 'local'; "
	}
	return "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; " + propagate +
		s.write("UTC") + "SET LOCAL client_encoding = " + quoteLiteral(s.server)
}

// ask returns the statements that open a transaction in which values of the inputs
// are read as the loader's were, and written as begin says but for the time zone.
func (s session) ask(timeZone string) string {
	return "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; SET LOCAL DateStyle = " + quoteLiteral(s.dateStyle) + "; " +
		s.write(timeZone) + "SET LOCAL client_encoding = " + quoteLiteral(s.encoding)
}

// write returns the statements that fix how values are written. DateStyle ISO
// leaves the order in which days and months are read as it is.
func (s session) write(timeZone string) string {
	var b strings.Builder
	for _, v := range [][2]string{{"statement_timeout", "0"}, {"lock_timeout", "0"}, {"idle_in_transaction_session_timeout", "0"},
		{"TimeZone", timeZone}, {"DateStyle", "ISO"}, {"IntervalStyle", s.intervalStyle},
		{"extra_float_digits", "1"}, {"bytea_output", "hex"}, {"lc_monetary", s.monetary}} {
		if v[1] != "" {
			b.WriteString("SET LOCAL " + v[0] + " = " + quoteLiteral(v[1]) + "; ")
		}
	}
	return b.String()
}

// quoteLiteral returns s as an SQL string, whatever standard_conforming_strings
// says.
func quoteLiteral(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return " E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// closeSoon closes conn, also after an interrupt, but does not wait long for the
// server. What was to be done is done: the error does not matter.
func closeSoon(ctx context.Context, conn *pgx.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = conn.Close(ctx)
}
