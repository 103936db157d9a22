package catalog

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Rights says what the current role may do with a table.
type Rights struct {
	Role      string // the current role
	Select    bool
	Insert    bool
	Update    bool
	Delete    bool
	Truncate  bool
	Temporary bool // may create temporary tables in the database
	Owner     bool // owns the table, or has the rights of the role that does
	Superuser bool
}

// Privileges reads what the current role may do with t. Rights on single columns
// do not count.
func Privileges(ctx context.Context, conn *pgx.Conn, t *Table) (Rights, error) {
	const sql = `
SELECT current_user::text,
       has_table_privilege(c.oid, 'SELECT'), has_table_privilege(c.oid, 'INSERT'),
       has_table_privilege(c.oid, 'UPDATE'), has_table_privilege(c.oid, 'DELETE'),
       has_table_privilege(c.oid, 'TRUNCATE'), has_database_privilege(current_database(), 'TEMPORARY'), pg_has_role(c.relowner, 'USAGE'),
       (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
  FROM pg_class c
 WHERE c.oid = $1::oid`
	var r Rights
	err := conn.QueryRow(ctx, sql, t.OID).
		Scan(&r.Role, &r.Select, &r.Insert, &r.Update, &r.Delete, &r.Truncate, &r.Temporary, &r.Owner, &r.Superuser)
	if err != nil {
		return Rights{}, fmt.Errorf("read the rights on %s: %w", t.SQL(), err)
	}
	return r, nil
}
