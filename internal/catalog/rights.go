package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// Rights says what the current role may do with a table.
type Rights struct {
	Role      string // the current role
	Database  string // the current one
	Select    bool
	Insert    bool // into all columns
	Update    bool
	Delete    bool
	Truncate  bool
	Temporary bool // may create temporary tables in the database
	Owner     bool // owns the table, or has the rights of the role that does
	Superuser bool

	// InsertInto has the columns that the role may insert into where that is not all
	// of them.
	InsertInto []string
}

// GrantTemporary returns what lets the role create temporary tables.
func (r *Rights) GrantTemporary() string {
	return fmt.Sprintf("GRANT TEMPORARY ON DATABASE %s TO %s, on a cluster on every node", server.Name(r.Database), server.Name(r.Role))
}

// Privileges reads what the current role may do with t. Rights on single columns
// count for INSERT alone. A table that is being dropped is one that is gone: of it the rights
// are NULL.
func Privileges(ctx context.Context, conn *pgx.Conn, t *Table) (Rights, error) {
	const sql = `
SELECT current_user::text, current_database()::text,
       has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'),
       has_table_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE'),
       has_table_privilege(c.oid, 'TRUNCATE'), has_database_privilege(current_database(), 'TEMPORARY'), pg_has_role(c.relowner, 'USAGE'),
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user),
       CASE WHEN NOT has_table_privilege(c.oid, 'INSERT') THEN
            ARRAY(SELECT a.attname::text FROM pg_attribute a
                   WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND has_column_privilege(c.oid, a.attnum, 'INSERT')
                   ORDER BY a.attnum) END
  FROM pg_class c
 WHERE c.oid = $1::oid AND has_table_privilege(c.oid, 'SELECT') IS NOT NULL`
	var r Rights
	batch := &pgx.Batch{}
	batch.Queue(sql, t.OID).QueryRow(func(row pgx.Row) error {
		return row.Scan(&r.Role, &r.Database, &r.Select, &r.Insert, &r.Update, &r.Delete, &r.Truncate, &r.Temporary, &r.Owner, &r.Superuser, &r.InsertInto)
	})
	if err := server.Ask(ctx, conn, batch); err != nil {
		return Rights{}, fmt.Errorf("read the rights on %s: %w", t, err)
	}
	return r, nil
}
