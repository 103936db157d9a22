package stage

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// A Fault is what the server says of a row that it cannot evaluate.
type Fault struct {
	Ctid     string
	SQLState string
	Message  string
	Detail   string
	Column   string // of the target, "" if it is not known, or if the condition fails
}

// foundSetting is where EvaluateSQL leaves what it finds, for FoundSQL.
const foundSetting = "shardload.found"

// FoundSQL is the query for what EvaluateSQL has found, one text for ParseFound.
const FoundSQL = "SELECT pg_catalog.current_setting('" + foundSetting + "')"

// MaxFound is how many faults EvaluateSQL finds at most.
const MaxFound = 5000

// EvaluateSQL returns the statement that evaluates all rows and finds those in which that fails,
// or the value cannot be assigned to its column: the first n of them. It stores nothing. It
// needs the language plpgsql, and fails where a domain refuses NULL: with bare it looks at no
// domain.
//
// Rows are evaluated in runs. Only where one fails are the rows after the last that was good
// tried one by one: Citus sends each of these blocks to the other nodes of the transaction.
func (t *Table) EvaluateSQL(n int, bare bool) string {
	var vars, into, columns []string
	for i, c := range t.Loaded {
		name := fmt.Sprintf(`"shardload value %d"`, i+1)
		kind := c.TypeSQL()
		if bare && c.TypeOID != c.BaseOID {
			kind = c.BareType
		}
		vars, into, columns = append(vars, name+" "+kind+";"), append(into, name), append(columns, "q."+quote(c.Name))
	}
	const this = row + `.ctid OPERATOR(pg_catalog.=) "shardload at"`
	const later = row + `.ctid OPERATOR(pg_catalog.>) "shardload good"`
	list, targets := strings.Join(columns, ", "), strings.Join(into, ", ")
	return doSQL(`
#variable_conflict use_column
DECLARE
 ` + strings.Join(vars, " ") + `
 "shardload good" pg_catalog.tid := '(0,0)'; "shardload at" pg_catalog.tid; "shardload column" pg_catalog.text;
 "shardload found" pg_catalog.text[] := '{}'; "shardload count" pg_catalog.int4;
 "shardload state" pg_catalog.text; "shardload message" pg_catalog.text; "shardload detail" pg_catalog.text;
BEGIN LOOP
 BEGIN
  FOR "shardload at", ` + targets + ` IN SELECT q.ctid, ` + list + ` FROM ` + t.source(later, nil, true) + ` AS q LOOP "shardload good" := "shardload at"; END LOOP;
  EXIT;
 EXCEPTION WHEN OTHERS THEN NULL; END;
 "shardload count" := pg_catalog.cardinality("shardload found");
 FOR "shardload at" IN SELECT ` + row + `.ctid FROM ` + t.SQL() + ` AS ` + row + ` WHERE ` + later + ` ORDER BY 1 LOOP
  BEGIN
   SELECT ` + list + ` INTO ` + targets + ` FROM ` + t.source(this, nil, true) + ` AS q;
  EXCEPTION WHEN OTHERS THEN
   GET STACKED DIAGNOSTICS "shardload state" = RETURNED_SQLSTATE, "shardload message" = MESSAGE_TEXT, "shardload detail" = PG_EXCEPTION_DETAIL;
   "shardload column" := NULL;` + t.blameSQL(this, into) + `
   "shardload found" := pg_catalog.array_append("shardload found", pg_catalog.json_build_array("shardload at"::pg_catalog.text, "shardload state",
    pg_catalog."left"("shardload message", 2000), pg_catalog."left"("shardload detail", 2000), "shardload column")::pg_catalog.text);
  END;
  "shardload good" := "shardload at";
  EXIT WHEN pg_catalog.cardinality("shardload found") OPERATOR(pg_catalog.>) "shardload count";
 END LOOP;
 EXIT WHEN pg_catalog.cardinality("shardload found") OPERATOR(pg_catalog.>=) ` + strconv.Itoa(n) + `;
 END LOOP;
 PERFORM pg_catalog.set_config('` + foundSetting + `', pg_catalog.array_to_json("shardload found")::pg_catalog.text, true);
END `)
}

// blameSQL returns the statements that find out which column a row at fault fails for: none
// if the condition does.
func (t *Table) blameSQL(this string, into []string) string {
	var b strings.Builder
	if t.Filters() {
		fmt.Fprintf(&b, "\n   BEGIN PERFORM 1 FROM %s AS q; EXCEPTION WHEN OTHERS THEN \"shardload column\" := ''; END;", t.source(this, []int{}, true))
	}
	for i, c := range t.Loaded {
		if item := t.plan.Items[i]; !item.Expr && item.Field < 0 { // a constant
			continue
		}
		fmt.Fprintf(&b, "\n   IF \"shardload column\" IS NULL THEN BEGIN SELECT q.%s INTO %s FROM %s AS q; EXCEPTION WHEN OTHERS THEN \"shardload column\" := '%d'; END; END IF;",
			quote(c.Name), into[i], t.source(this, []int{i}, true), i)
	}
	return b.String()
}

// doSQL returns the statement that runs a block.
func doSQL(body string) string {
	tag := "$shardload$"
	for strings.Contains(body, tag) {
		tag = strings.TrimSuffix(tag, "$") + "_$"
	}
	return "DO LANGUAGE plpgsql " + tag + body + tag
}

// ParseFound reads the answer to FoundSQL.
func (t *Table) ParseFound(text string) ([]Fault, error) {
	var list []string
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("what the server found in rows: %w", err)
	}
	found := make([]Fault, len(list))
	for i, one := range list {
		var column *string
		f := &found[i]
		if err := json.Unmarshal([]byte(one), &[]any{&f.Ctid, &f.SQLState, &f.Message, &f.Detail, &column}); err != nil {
			return nil, fmt.Errorf("what the server found in rows: %w", err)
		}
		if column == nil || *column == "" {
			continue
		}
		n, err := strconv.Atoi(*column)
		if err != nil || n < 0 || n >= len(t.Loaded) {
			return nil, fmt.Errorf("what the server found in rows: column %q", *column)
		}
		f.Column = t.Loaded[n].Name
	}
	return found, nil
}
