package server

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"shardload/internal/fault"
)

// A Kind is what a transaction of ours is for.
type Kind int

// The kinds.
const (
	// Read only asks. It runs on a standby, too.
	Read Kind = iota
	// Write changes tables, whatever the role's transactions are by default.
	Write
)

// The search path of all that we say: nobody but the server's owner makes anything in
// pg_catalog, and a temporary table is found under no name of a table's.
const (
	// OwnPathSQL makes the search path ours.
	OwnPathSQL = "SET LOCAL search_path = pg_catalog, pg_temp"
	// RolePathSQL makes the search path what it was before Begin: what the table's own
	// triggers, defaults and checks look names up in. Between it and OwnPathSQL a
	// statement of ours names the schema of each function, operator and type.
	RolePathSQL = "SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('shardload.search_path'), true)"

	keepPathSQL = "SELECT pg_catalog.set_config('shardload.search_path', pg_catalog.current_setting('search_path'), true)"
)

// A setting is what a transaction of ours fixes, whatever the role, the database, the
// server and the environment bring.
type setting struct {
	name, value string
	since       int // the first version of PostgreSQL that has it; 0 for all
}

var (
	// waits come first: no limit that is made for an application ends what is long by its
	// nature.
	waits = []setting{
		{name: "statement_timeout", value: "0"},
		{name: "lock_timeout", value: "0"},
		{name: "idle_in_transaction_session_timeout", value: "0"},
		{name: "transaction_timeout", value: "0", since: 17},
	}
	// always are what each transaction of ours needs.
	always = []setting{
		{name: "client_min_messages", value: "warning"}, // Citus warns of a COMMIT that is in doubt
		{name: "exit_on_error", value: "off"},           // an error that is expected ends no session
		{name: "quote_all_identifiers", value: "off"},   // names of types are compared, between nodes, too
		{name: "citus.multi_task_query_log_level", value: "off"},
		{name: "citus.enable_local_execution", value: "on"},         // what is local is stored in the transaction itself
		{name: "citus.select_opens_transaction_block", value: "on"}, // workers learn our search path with it
		// A statement over all shards opens a connection to each node for every 10 ms that it
		// takes, by default. Most of ours are short, and a connection costs more than they do.
		{name: "citus.executor_slow_start_interval", value: "200"},
	}
	// questions are what statements need whose answers we read, or which make tables.
	questions = []setting{
		{name: "DateStyle", value: "ISO"}, // which leaves the order of days and months
		{name: "TimeZone", value: "UTC"},
		{name: "standard_conforming_strings", value: "on"},
		{name: "extra_float_digits", value: "1"}, // as many as a float has, in constants of checks, too
		{name: "row_security", value: "off"},     // an error rather than a part of the rows
		// Off, it drops or makes tables on the coordinator alone.
		{name: "citus.enable_ddl_propagation", value: "on"},
		{name: "citus.enable_metadata_sync", value: "on"},
		{name: "citus.use_citus_managed_tables", value: "off"},
	}
)

// staySQL is the one setting that must hold between transactions. Behind a pooler in
// transaction mode it stays with one of the pooler's connections, which then lives as
// long as the pooler wants.
const staySQL = `SELECT pg_catalog.set_config('idle_session_timeout', '0', false)
	WHERE pg_catalog.current_setting('idle_session_timeout', true) OPERATOR(pg_catalog.<>) '0'`

// staying makes a connection that lives while nothing is asked of it, as connect does, and
// runs query, "" for none, in the same round trip. The one that it returns with an error is
// closed: a server had let us in.
func staying(ctx context.Context, query string, connect func() (*pgconn.PgConn, error)) (conn *pgconn.PgConn, answer *pgconn.Result, err error) {
	for range fault.StayTries {
		if conn, err = connect(); err != nil {
			return conn, nil, err
		}
		if answer, err = stay(ctx, conn, query); err == nil {
			return conn, answer, nil
		}
		_ = conn.Close(ctx)
		if ctx.Err() != nil {
			break
		}
	}
	return conn, nil, err
}

// stay does for conn what staying does for the one that it makes.
func stay(ctx context.Context, conn *pgconn.PgConn, query string) (answer *pgconn.Result, err error) {
	var sql []string
	if major(conn) >= 14 {
		sql = append(sql, staySQL)
	}
	if query != "" {
		sql = append(sql, query)
	}
	if len(sql) == 0 {
		return nil, nil
	}
	results, err := conn.Exec(ctx, strings.Join(sql, "; ")).ReadAll()
	if err != nil || query == "" {
		return nil, err
	}
	return results[len(results)-1], nil
}

// Begin returns the statements that open a transaction of ours on conn: BEGIN, and the
// settings that hold in it, behind a connection pooler, too. They look no name up
// before the search path is ours. More statements may follow in the same message.
func Begin(conn *pgconn.PgConn, k Kind) string {
	var list statements
	list.open(conn, k)
	list.question(conn)
	return list.String()
}

// Statements returns what Start runs.
func Statements(conn *pgconn.PgConn, k Kind) []string {
	var list statements
	list.open(conn, k)
	list.nodes(conn)
	list.question(conn)
	return list
}

// Start opens a transaction of ours on conn as Begin does, and makes the search path ours
// on each worker, too, that the transaction comes to: Citus's own statements to them name
// functions without their schema, and with arguments that another role's function may fit
// better. The first statements, one each, run in the same round trip. No trigger, default
// or check of the user's tables may run in it.
func Start(ctx context.Context, conn *pgconn.PgConn, k Kind, first ...string) error {
	list := statements(append(Statements(conn, k), first...))
	return list.run(ctx, conn)
}

// statements are SQL statements without their semicolons.
type statements []string

// String returns the statements as one message, in which others may follow.
func (list *statements) String() string { return strings.Join(*list, "; ") + "; " }

func (list *statements) add(sql ...string) { *list = append(*list, sql...) }

// set adds one statement that makes settings hold until the end of the transaction: those
// that conn's server has, and that have a value.
func (list *statements) set(conn *pgconn.PgConn, settings ...setting) {
	var calls []string
	for _, s := range settings {
		if s.holds(conn) {
			calls = append(calls, "pg_catalog.set_config('"+s.name+"', "+strings.TrimSpace(Literal(s.value))+", true)")
		}
	}
	if len(calls) > 0 {
		list.add("SELECT " + strings.Join(calls, ", "))
	}
}

// holds reports whether conn's server has s, and there is a value.
func (s setting) holds(conn *pgconn.PgConn) bool { return s.value != "" && major(conn) >= s.since }

// open adds what all transactions begin with.
func (list *statements) open(conn *pgconn.PgConn, k Kind) {
	access := "READ WRITE"
	if k == Read {
		access = "READ ONLY"
	}
	list.add("BEGIN ISOLATION LEVEL READ COMMITTED " + access)
	list.fix(conn)
}

// RowByRow makes columnar tables be read row by row until the end of conn's transaction,
// on the workers, too: their own scan knows no tableoid. Where none is read it means
// nothing.
func RowByRow(ctx context.Context, conn *pgconn.PgConn) error {
	var list statements
	list.passed(conn, setting{name: "columnar.enable_custom_scan", value: "off"})
	return list.run(ctx, conn)
}

// NodesOwnPath makes the search path ours on the workers alone, from now on in conn's
// transaction, which need not be ours.
func NodesOwnPath(ctx context.Context, conn *pgconn.PgConn) error {
	list := statements{keepPathSQL}
	list.pass(OwnPathSQL)
	list.add(RolePathSQL)
	return list.run(ctx, conn)
}

// AsRole runs a statement, in conn's transaction, under the search path that was there
// before Begin, and on the workers under that of their sessions: what the table's own
// triggers and indexes call is looked up in it. The search path is ours before and after.
func AsRole(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	var list statements
	list.asRole()
	list.add(sql)
	list.pass(OwnPathSQL)
	return list.run(ctx, conn)
}

// asRole adds the search paths of AsRole.
func (list *statements) asRole() {
	list.pass("SET LOCAL search_path TO DEFAULT")
	list.add(RolePathSQL)
}

// DoAsRole calls fn under the search paths under which AsRole runs a statement.
func DoAsRole(ctx context.Context, conn *pgconn.PgConn, fn func() error) error {
	var before, after statements
	before.asRole()
	after.pass(OwnPathSQL)
	if err := before.run(ctx, conn); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return after.run(ctx, conn)
}

// Within makes the transaction in which conn is already one of ours, as Start does.
func Within(ctx context.Context, conn *pgconn.PgConn, first ...string) error {
	var list statements
	list.fix(conn)
	list.nodes(conn)
	list.question(conn)
	list.add(first...)
	return list.run(ctx, conn)
}

// fix adds the search path and the settings of all transactions.
func (list *statements) fix(conn *pgconn.PgConn) {
	list.add(keepPathSQL, "SET LOCAL citus.propagate_set_commands = 'none'", OwnPathSQL)
	list.set(conn, waits...)
	list.set(conn, always...)
}

// question adds what statements need whose answers we read.
func (list *statements) question(conn *pgconn.PgConn) {
	list.set(conn, questions...)
	list.set(conn, setting{name: "client_encoding", value: conn.ParameterStatus("server_encoding")})
}

// nodes adds what holds on the workers, too: the search path, and that nothing ends what
// is long.
func (list *statements) nodes(conn *pgconn.PgConn) {
	list.pass(append([]string{OwnPathSQL}, sets(conn, waits...)...)...)
}

// passed adds settings that Citus passes on to each worker that the transaction reaches.
func (list *statements) passed(conn *pgconn.PgConn, settings ...setting) {
	list.pass(sets(conn, settings...)...)
}

// sets returns a SET statement for each of settings that holds: Citus passes no call of
// set_config on.
func sets(conn *pgconn.PgConn, settings ...setting) (sql []string) {
	for _, s := range settings {
		if s.holds(conn) {
			sql = append(sql, "SET LOCAL "+s.name+" = "+Literal(s.value))
		}
	}
	return sql
}

// pass adds SET statements that Citus passes on. It passes on the whole message that a SET
// is in: each must be one of its own.
func (list *statements) pass(sql ...string) {
	list.add("SET LOCAL citus.propagate_set_commands = 'local'")
	list.add(sql...)
	list.add("SET LOCAL citus.propagate_set_commands = 'none'")
}

// run runs the statements, each in a message of its own, in one round trip.
func (list *statements) run(ctx context.Context, conn *pgconn.PgConn) error {
	batch := &pgconn.Batch{}
	for _, sql := range *list {
		batch.ExecParams(sql, nil, nil, nil, nil)
	}
	_, err := conn.ExecBatch(ctx, batch).ReadAll()
	return err
}

// major returns the version of conn's server: 17 for 17.2, 0 if it does not say.
func major(conn *pgconn.PgConn) (version int) {
	for _, c := range conn.ParameterStatus("server_version") {
		if c < '0' || c > '9' {
			break
		}
		version = 10*version + int(c-'0')
	}
	return version
}
