package selection

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/catalog"
)

// Facts are what the server's catalog says of the functions and types of expressions.
type facts struct {
	funcs map[int]function // by OID
	ops   map[int]int      // an operator's function
	types map[int]typeFacts
	words map[string]bool // constants of dates and times that are the moment's
	// moments has these constants by their type, as the server writes them in memory.
	moments map[int][][]byte
}

// A function is a row of pg_proc.
type function struct {
	name       string
	own        bool   // it is the server's own
	volatility string // i, s or v
	input      bool   // it takes a cstring, as the input functions of types do
	cast       bool   // it is that of a cast from a text
}

// A typeFacts says how a type reads text.
type typeFacts struct {
	in    int  // the function that reads it
	clock bool // it has a date or time inside, and reads "now"
}

// steadyOwn are functions of the server's own that are declared STABLE, and return the same
// as long as the session's settings are the same, which are those of the job.
var steadyOwn = func() map[string]bool {
	names := map[string]bool{}
	for name := range strings.FieldsSeq(`anytextcat textanycat array_in array_to_json array_to_string concat concat_ws
		convert convert_from convert_to date date_in date_part date_trunc enum_in extract format interval_in
		interval_pl_timestamptz json_build_array json_build_object jsonb_build_array jsonb_build_object make_timestamptz overlaps
		quote_literal quote_nullable range_in row_to_json time time_in timestamp timestamp_in timestamptz
		timestamptz_in timestamptz_mi_interval timestamptz_pl_interval timezone to_char to_date to_json to_jsonb to_number
		to_timestamp`) {
		names[name] = true
	}
	for _, of := range []string{"date", "timestamp"} {
		for _, op := range []string{"cmp", "eq", "ge", "gt", "le", "lt", "ne"} {
			names[of+"_"+op+"_timestamptz"], names["timestamptz_"+op+"_"+of] = true, true
		}
	}
	return names
}()

// steadyKinds are the nodes whose value depends on their arguments, functions and types
// alone.
var steadyKinds = map[string]bool{
	"VAR": true, "CONST": true, "FUNCEXPR": true, "OPEXPR": true, "DISTINCTEXPR": true, "NULLIFEXPR": true, "SCALARARRAYOPEXPR": true,
	"BOOLEXPR": true, "RELABELTYPE": true, "COERCEVIAIO": true, "ARRAYCOERCEEXPR": true, "COLLATE": true, "COLLATEEXPR": true,
	"CASE": true, "CASEEXPR": true, "WHEN": true, "CASEWHEN": true, "CASETESTEXPR": true, "ARRAY": true, "ARRAYEXPR": true,
	"COALESCE": true, "COALESCEEXPR": true, "MINMAX": true, "MINMAXEXPR": true, "NULLTEST": true, "BOOLEANTEST": true,
	"SUBSCRIPTINGREF": true, "SBSREF": true, "NAMEDARGEXPR": true,
}

// plainConstants are types of which no constant is the moment's.
var plainConstants = []int{
	pgtype.BoolOID, pgtype.ByteaOID, pgtype.QCharOID, pgtype.NameOID, pgtype.Int8OID, pgtype.Int2OID, pgtype.Int4OID, pgtype.TextOID,
	pgtype.OIDOID, pgtype.JSONOID, pgtype.Float4OID, pgtype.Float8OID, pgtype.UnknownOID, pgtype.BPCharOID, pgtype.VarcharOID,
	pgtype.IntervalOID, pgtype.NumericOID, pgtype.UUIDOID, pgtype.JSONBOID, pgtype.TextArrayOID, pgtype.VarcharArrayOID,
	pgtype.Int2ArrayOID, pgtype.Int4ArrayOID, pgtype.Int8ArrayOID, pgtype.NumericArrayOID, pgtype.InetOID, pgtype.CIDROID,
}

// momentTypes are those whose constants are compared with the moment's.
var momentTypes = []int{pgtype.DateOID, pgtype.TimeOID, pgtype.TimestampOID, pgtype.TimestamptzOID}

// wavers returns what in an expression may give another value of the same fields at another
// time, and what to say of it; nil for nothing.
func (f *facts) wavers(expr *node) (*node, string) {
	for n := range expr.all() {
		if problem := f.wavering(n); problem != "" {
			return n, problem
		}
	}
	return nil, ""
}

// wavering says what in n itself may give another value, "" for nothing.
func (f *facts) wavering(n *node) string {
	switch {
	case n.kind == "SQLVALUEFUNCTION":
		return "it asks for the time, or for the session"
	case !steadyKinds[n.kind]:
		return "it is not known to give the same value whenever it is asked for"
	case n.kind == "CONST" && n.get("constisnull").word == "false" && !slices.Contains(plainConstants, n.number("consttype")):
		if !slices.Contains(momentTypes, n.number("consttype")) || f.words[constant(n)] {
			return constantMoment
		}
	case n.kind == "COERCEVIAIO":
		typ := n.number("resulttype")
		if f.types[typ].clock && len(varsOf(n)) == 0 {
			return "a constant in it may be that of the moment"
		}
		return f.unsteady(f.types[typ].in)
	}
	for _, id := range functionsOf(n) {
		if problem := f.unsteady(id); problem != "" {
			return problem
		}
	}
	for _, op := range operatorsOf(n) {
		if problem := f.unsteady(f.ops[op]); problem != "" {
			return problem
		}
	}
	return ""
}

// clock reports whether an expression reads a date or time from a text.
func (f *facts) clock(expr *node) bool {
	for n := range expr.all() {
		if _, ok := f.reads(n); ok {
			return true
		}
	}
	return false
}

// unsteady says why the function of that OID is not sure to return the same, "" if it is.
func (f *facts) unsteady(id int) string {
	p, ok := f.funcs[id]
	switch {
	case !ok:
		return fmt.Sprintf("function %d is not known", id)
	case p.volatility == "i", p.volatility == "s" && p.own && steadyOwn[p.name]:
		return ""
	case p.volatility == "v":
		return fmt.Sprintf("function %s is VOLATILE", p.name)
	case p.own:
		return fmt.Sprintf("function %s asks for the time, for the session, or for what else may change", p.name)
	}
	return fmt.Sprintf("function %s is declared STABLE, and may return something else later: declare it IMMUTABLE if it does not", p.name)
}

// functionsOf returns the functions that n itself calls.
func functionsOf(n *node) (ids []int) {
	if n.has("funcid") {
		ids = append(ids, n.number("funcid"))
	}
	return ids
}

// operatorsOf returns the operators that n itself calls: several, where rows are compared.
func operatorsOf(n *node) (ids []int) {
	if n.has("opno") {
		ids = append(ids, n.number("opno"))
	}
	for _, v := range n.get("opnos").list { // (o 97 97)
		if id, err := strconv.Atoi(v.word); err == nil {
			ids = append(ids, id)
		}
	}
	return ids
}

// constant returns the type and the bytes of a CONST.
func constant(n *node) string {
	datum, _ := n.datum()
	return n.get("consttype").word + " " + string(datum)
}

// momentView is a view of the words that date and time types read as of the moment.
const momentView = "pg_temp.shardload_moments"

// newFacts reads what is to be known of expressions, in their transaction: its moment is theirs.
func newFacts(ctx context.Context, conn *pgx.Conn, exprs []*node) (*facts, error) {
	f := &facts{funcs: map[int]function{}, ops: map[int]int{}, types: map[int]typeFacts{}, words: map[string]bool{}, moments: map[int][][]byte{}}
	var funcs, ops, types []int
	for _, expr := range exprs {
		for n := range expr.all() {
			funcs = append(funcs, functionsOf(n)...)
			ops = append(ops, operatorsOf(n)...)
			if n.kind == "COERCEVIAIO" {
				types = append(types, n.number("resulttype"))
			}
		}
	}
	if err := f.readTypes(ctx, conn, types); err != nil {
		return nil, err
	}
	for _, t := range f.types {
		funcs = append(funcs, t.in)
	}
	more, err := f.readOperators(ctx, conn, ops)
	if err != nil {
		return nil, err
	}
	if err := f.readFunctions(ctx, conn, append(funcs, more...)); err != nil {
		return nil, err
	}
	if err := f.readTypes(ctx, conn, f.castTo(exprs)); err != nil {
		return nil, err
	}
	return f, f.readMoments(ctx, conn)
}

// readOperators reads the functions of operators, and returns them.
func (f *facts) readOperators(ctx context.Context, conn *pgx.Conn, ops []int) (funcs []int, err error) {
	rows, err := conn.Query(ctx, `SELECT o.oid::pg_catalog.int8, o.oprcode::pg_catalog.oid::pg_catalog.int8 FROM pg_catalog.pg_operator AS o
		WHERE o.oid::pg_catalog.int8 OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.int8[])`, ops)
	var op, code int
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&op, &code}, func() error {
			f.ops[op] = code
			funcs = append(funcs, code)
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("the operators of a list: %w", err)
	}
	return funcs, nil
}

// readFunctions reads what functions are.
func (f *facts) readFunctions(ctx context.Context, conn *pgx.Conn, funcs []int) error {
	rows, err := conn.Query(ctx, `SELECT p.oid::pg_catalog.int8, p.proname::pg_catalog.text, p.pronamespace OPERATOR(pg_catalog.=) 'pg_catalog'::pg_catalog.regnamespace,
		p.provolatile::pg_catalog.text, 'pg_catalog.cstring'::pg_catalog.regtype::pg_catalog.oid OPERATOR(pg_catalog.=) ANY (p.proargtypes),
		EXISTS (SELECT FROM pg_catalog.pg_cast AS c JOIN pg_catalog.pg_type AS t ON t.oid OPERATOR(pg_catalog.=) c.castsource
			WHERE c.castfunc OPERATOR(pg_catalog.=) p.oid AND t.typcategory OPERATOR(pg_catalog.=) 'S')
		FROM pg_catalog.pg_proc AS p WHERE p.oid::pg_catalog.int8 OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.int8[])`, funcs)
	var id int
	var p function
	if err == nil {
		_, err = pgx.ForEachRow(rows, []any{&id, &p.name, &p.own, &p.volatility, &p.input, &p.cast}, func() error {
			f.funcs[id] = p
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("the functions of a list: %w", err)
	}
	return nil
}

// readTypes reads how types read and write text.
func (f *facts) readTypes(ctx context.Context, conn *pgx.Conn, types []int) error {
	slices.Sort(types)
	for _, typ := range slices.Compact(types) {
		var t typeFacts
		err := conn.QueryRow(ctx, `SELECT t.typinput::pg_catalog.oid::pg_catalog.int8
			FROM pg_catalog.pg_type AS t WHERE t.oid::pg_catalog.int8 OPERATOR(pg_catalog.=) $1::pg_catalog.int8`, typ).Scan(&t.in)
		if err != nil {
			return fmt.Errorf("a type of a list: %w", err)
		}
		in, err := catalog.LookInside(ctx, conn, uint32(typ))
		if err != nil {
			return err
		}
		t.clock = in.Clock
		f.types[typ] = t
	}
	return nil
}

// readMoments reads what the words for the moment are as constants.
func (f *facts) readMoments(ctx context.Context, conn *pgx.Conn) error {
	var items []string
	for _, typ := range []string{"date", `"time"`, `"timestamp"`, "timestamptz"} {
		for _, word := range []string{"now", "today", "tomorrow", "yesterday"} {
			if typ != `"time"` || word == "now" {
				items = append(items, fmt.Sprintf("'%s'::pg_catalog.%s AS m%d", word, typ, len(items)))
			}
		}
	}
	err := run(ctx, conn.PgConn(), "CREATE OR REPLACE TEMPORARY VIEW "+strings.TrimPrefix(momentView, "pg_temp.")+" AS SELECT "+strings.Join(items, ", "))
	if err != nil {
		return fmt.Errorf("the words for the moment: %w", err)
	}
	var text string
	err = conn.QueryRow(ctx, `SELECT ev_action::pg_catalog.text FROM pg_catalog.pg_rewrite
		WHERE ev_class OPERATOR(pg_catalog.=) $1::pg_catalog.text::pg_catalog.regclass::pg_catalog.oid`, momentView).Scan(&text)
	if err != nil {
		return fmt.Errorf("the words for the moment: %w", err)
	}
	tree, err := parseTree(text)
	if err != nil {
		return err
	}
	for n := range (value{list: tree}).all() {
		if n.kind == "CONST" {
			f.words[constant(n)] = true
			datum, _ := n.datum()
			f.moments[n.number("consttype")] = append(f.moments[n.number("consttype")], datum)
		}
	}
	if len(f.words) < len(momentTypes) {
		return fmt.Errorf("%w: %s constants for the moment", errTree, strconv.Itoa(len(f.words)))
	}
	return nil
}
