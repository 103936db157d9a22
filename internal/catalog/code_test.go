package catalog_test

import (
	"testing"

	"shardload/internal/catalog"
	"shardload/internal/pgtest"
)

// What calls nothing of its own meets any search path alike.
func TestHasCode(t *testing.T) {
	t.Parallel()
	conn := pgtest.Connect(t, pgtest.Plain(t))
	exec(t, conn,
		`CREATE FUNCTION mine(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'`,
		`CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
		`CREATE OPERATOR === (LEFTARG = integer, RIGHTARG = integer, FUNCTION = int4eq)`,
		`CREATE OPERATOR CLASS own FOR TYPE integer USING btree AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 btint4cmp(integer, integer)`,
		`CREATE DOMAIN thing AS integer`, `CREATE TYPE mood AS ENUM ('fine')`)
	for sql, want := range map[string]bool{
		"": false,
		`ALTER TABLE t ADD CHECK (a > 0), ADD b bigserial, ADD c integer GENERATED ALWAYS AS (a + 1) STORED, ADD m mood, ADD u integer REFERENCES r`: false,
		`CREATE INDEX ON t ((a + 1)) WHERE a > 7`:                                   false,
		`ALTER TABLE t ADD CHECK (mine(a) > 0)`:                                     true,
		`ALTER TABLE t ADD CHECK (a === 1)`:                                         true,
		`ALTER TABLE t ADD CHECK (to_regclass('x') IS NULL)`:                        true,
		`ALTER TABLE t ALTER a SET DEFAULT mine(1)`:                                 true,
		`ALTER TABLE t ADD g integer GENERATED ALWAYS AS (mine(a)) STORED`:          true,
		`ALTER TABLE t ADD d thing`:                                                 true,
		`ALTER TABLE t ADD d thing[]`:                                               true,
		`CREATE INDEX ON t (mine(a))`:                                               true,
		`CREATE INDEX ON t (a) WHERE mine(a) > 0`:                                   true,
		`CREATE INDEX ON t (a own)`:                                                 true,
		`CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires()`: true,
		`CREATE RULE x AS ON INSERT TO t DO ALSO NOTIFY x`:                          true,
		`DROP TABLE t; CREATE TABLE t (a integer) PARTITION BY RANGE (a); CREATE TABLE p PARTITION OF t DEFAULT; ALTER TABLE p ADD CHECK (mine(a) > 0)`: true,
		`DROP TABLE t; CREATE TABLE t (a integer) PARTITION BY RANGE (mine(a))`:                                                                         true,
	} {
		pgtest.Exec(t, conn, "DROP TABLE IF EXISTS t, r", "CREATE TABLE t (a integer PRIMARY KEY)", "CREATE TABLE r (a integer PRIMARY KEY)")
		if sql != "" {
			pgtest.Exec(t, conn, sql)
		}
		has, err := catalog.HasCode(t.Context(), conn, lookup(t, conn, "t").OID)
		if err != nil {
			t.Fatal(err)
		}
		if has != want {
			t.Errorf("%s: %t, want %t", sql, has, want)
		}
	}
}
