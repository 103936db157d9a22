package verify_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/internal/verify"
)

// A table is compared with the files that were loaded into it, value by value.
func ExampleDeep() {
	dsn := pgtest.Example("CREATE TABLE people (id bigint PRIMARY KEY, name text)", "INSERT INTO people VALUES (1, 'Ada'), (2, 'Gracie')")
	conn, err := pgx.ParseConfig(dsn)
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "shardload-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "people.csv")
	if err := os.WriteFile(path, []byte("id,name\n1,Ada\n2,Grace\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	check, err := verify.Deep(context.Background(), verify.DeepConfig{Conn: conn, Table: "people", Inputs: []verify.Input{verify.File(path)}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("same:", check.Same())
	fmt.Println("columns that differ:", check.Columns)
	// Output:
	// same: false
	// columns that differ: [name]
}
