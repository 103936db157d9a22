package server

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A Session is what of the coordinator's session, or the plain server's, decides what
// text means and where the table's functions look names up: as psql's session has it.
// Other nodes may have other settings of their own.
type Session struct {
	TimeZone, DateStyle, IntervalStyle string
	Monetary                           string // lc_monetary; "" if nothing depends on it
	ArrayNulls                         string // whether NULL in an array means NULL
	Encoding                           string // the server's

	abbreviations, xmlOption string
	floatDigits, byteaOutput string
	path                     string
	functions                []setting
}

// functions are the settings that no type depends on, but functions. Citus computes the
// defaults of columns that are left out where a COPY comes in.
var functions = []string{"default_text_search_config", "lc_numeric", "lc_time", "xmlbinary"}

// ReadSession reads the Session of conn, which must be in no transaction of ours.
func ReadSession(ctx context.Context, conn *pgx.Conn) (Session, error) {
	var s Session
	values := make([]string, len(functions))
	err := conn.QueryRow(ctx, `SELECT pg_catalog.current_setting('TimeZone'), pg_catalog.current_setting('DateStyle'),
		pg_catalog.current_setting('IntervalStyle'), pg_catalog.current_setting('lc_monetary'), pg_catalog.current_setting('array_nulls'),
		pg_catalog.current_setting('server_encoding'), pg_catalog.current_setting('timezone_abbreviations'), pg_catalog.current_setting('xmloption'),
		pg_catalog.current_setting('extra_float_digits'), pg_catalog.current_setting('bytea_output'), pg_catalog.current_setting('search_path'),
		ARRAY(SELECT pg_catalog.current_setting(f.name) FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS f (name, n) ORDER BY f.n)`, functions).
		Scan(&s.TimeZone, &s.DateStyle, &s.IntervalStyle, &s.Monetary, &s.ArrayNulls, &s.Encoding, &s.abbreviations, &s.xmlOption,
			&s.floatDigits, &s.byteaOutput, &s.path, &values)
	if err != nil {
		return s, fmt.Errorf("the settings of the server: %w", err)
	}
	for i, name := range functions {
		s.functions = append(s.functions, setting{name: name, value: values[i]})
	}
	return s, nil
}

// NoDefaults says that no function computes what a column is where it is left out. A node
// need not even have the locales that its settings name.
func (s *Session) NoDefaults() { s.functions = nil }

// Batch returns the statements that open a batch's transaction on conn, to a node:
// it is ours until PathSQL.
//
// The client encoding is the server's, whatever the input's: a Citus coordinator
// converts what it sends to the workers into the client's encoding, and they refuse
// it. CSV rows name their encoding in the COPY, and binary rows hold text only where
// the encodings agree on it.
func (s *Session) Batch(conn *pgconn.PgConn) string {
	list := s.batch(conn)
	return list.String()
}

// StartBatch opens a batch's transaction on conn as Batch does, for rows that Citus sends
// on to other nodes: nothing ends there what is long. With ownPath the search path is ours
// there until its end: Citus's own statements name functions without their schema. What
// the table calls there must not need another.
func (s *Session) StartBatch(ctx context.Context, conn *pgconn.PgConn, ownPath bool) error {
	list := s.batch(conn)
	list.passed(conn, waits...)
	if ownPath {
		list.pass(OwnPathSQL)
	}
	return list.run(ctx, conn)
}

func (s *Session) batch(conn *pgconn.PgConn) (list statements) {
	list.open(conn, Write)
	list.set(conn, s.settings(s.DateStyle, s.TimeZone, s.Encoding)...)
	list.set(conn, s.functions...)
	return list
}

// Ask returns the statements that open a transaction on conn in which text of an
// encoding is read as in a batch, and times are written as in zone and in ISO's way.
// Functions look names up as in a batch: a domain's check may.
func (s *Session) Ask(conn *pgconn.PgConn, encoding, zone string) string {
	var list statements
	list.open(conn, Read)
	list.set(conn, s.settings(s.DateStyle, zone, encoding)...)
	list.set(conn, plain...)
	list.add(s.PathSQL())
	return list.String()
}

// Compare opens a transaction on conn in which values are written in one way only, on
// the workers, too: times in UTC.
func (s *Session) Compare(ctx context.Context, conn *pgconn.PgConn) error {
	var list statements
	list.open(conn, Read)
	list.nodes(conn)
	list.set(conn, questions...)
	list.passed(conn, slices.Concat(s.settings("ISO", "UTC", s.Encoding), plain)...)
	return list.run(ctx, conn)
}

// plain are the settings under which values are written for us.
var plain = []setting{{name: "DateStyle", value: "ISO"}, {name: "extra_float_digits", value: "1"}, {name: "bytea_output", value: "hex"}}

// WritePlain makes values be written for us from now on in conn's transaction.
func WritePlain(ctx context.Context, conn *pgconn.PgConn) error {
	var list statements
	list.set(conn, plain...)
	return list.run(ctx, conn)
}

// settings returns what makes text mean what it means in s.
func (s *Session) settings(dateStyle, zone, encoding string) []setting {
	return []setting{
		{name: "TimeZone", value: zone},
		{name: "DateStyle", value: dateStyle},
		{name: "IntervalStyle", value: s.IntervalStyle},
		{name: "lc_monetary", value: s.Monetary},
		{name: "array_nulls", value: s.ArrayNulls},
		{name: "timezone_abbreviations", value: s.abbreviations},
		{name: "xmloption", value: s.xmlOption},
		{name: "extra_float_digits", value: s.floatDigits},
		{name: "bytea_output", value: s.byteaOutput},
		{name: "client_encoding", value: encoding},
	}
}

// PathSQL returns the statement that makes the search path the session's own, for the
// table's triggers, defaults and checks, until the end of the transaction: deferred
// triggers fire at COMMIT.
func (s *Session) PathSQL() string {
	return "SELECT pg_catalog.set_config('search_path', " + strings.TrimSpace(Literal(s.path)) + ", true)"
}

// OwnPath returns the session with our own search path, under which names that a value
// stands for are written with their schema.
func (s Session) OwnPath() Session {
	s.path = "pg_catalog, pg_temp"
	return s
}

// Meaning says in words all that decides what values mean, in types of which some settings
// decide.
func (s *Session) Meaning() string {
	var list []string
	for _, of := range s.settings(s.DateStyle, s.TimeZone, "") {
		switch of.name {
		case "client_encoding", "extra_float_digits", "bytea_output": // of what is written, or what the job has
		default:
			list = append(list, of.name+" "+of.value)
		}
	}
	return strings.Join(list, ", ")
}

// Evaluating says in words all that decides what an expression gives.
func (s *Session) Evaluating() string {
	list := []string{s.Meaning(), "extra_float_digits " + s.floatDigits, "bytea_output " + s.byteaOutput, "search_path " + s.path}
	for _, of := range s.functions {
		list = append(list, of.name+" "+of.value)
	}
	return strings.Join(list, ", ")
}

// Reading says in words what may decide how the server reads a value.
func (s *Session) Reading() string {
	return fmt.Sprintf("TimeZone %s, DateStyle %s, IntervalStyle %s", s.TimeZone, s.DateStyle, s.IntervalStyle)
}
