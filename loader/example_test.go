package loader_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/jackc/pgx/v5"

	"shardload/internal/pgtest"
	"shardload/loader"
)

const exampleTable = `CREATE TABLE people (id bigint PRIMARY KEY, name text NOT NULL, born date)`

// exampleServer returns the settings of a connection to a server with an empty table
// people. A program of yours parses its own DSN.
func exampleServer() *pgx.ConnConfig {
	cfg, err := pgx.ParseConfig(pgtest.Example(exampleTable))
	if err != nil {
		log.Fatal(err)
	}
	return cfg
}

// exampleFile writes a file of people into a directory of its own.
func exampleFile(content string) (path string, remove func()) {
	dir, err := os.MkdirTemp("", "shardload-example-")
	if err != nil {
		log.Fatal(err)
	}
	path = filepath.Join(dir, "people.csv")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		log.Fatal(err)
	}
	return path, func() { _ = os.RemoveAll(dir) }
}

// A file is loaded into a table, whatever kind of table it is.
func Example() {
	path, remove := exampleFile("id,name,born\n1,Ada,1815-12-10\n2,Grace,1906-12-09\n")
	defer remove()
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{Conn: exampleServer(), Table: "people"})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	res, err := l.Load(ctx, loader.File(path))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Rows, "rows by route", l.Plan().Route)
	// Output: 2 rows by route coordinator
}

// What cannot be opened twice, such as the standard input, is a Reader.
func ExampleReader() {
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{Conn: exampleServer(), Table: "people", Delimiter: ';'})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	res, err := l.Load(ctx, loader.Reader("people of today", strings.NewReader("name;id\nAda;1\nGrace;2\n")))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Rows, "rows")
	// Output: 2 rows
}

// A person is a row. The csv tags name the columns.
type person struct {
	ID   int64  `csv:"id"`
	Name string `csv:"name"`
	Born string `csv:"born"`
}

// Typed rows pass through a function of yours on their way.
func ExampleRecords() {
	export := "id,name,born\n1,ada,10.12.1815\n2,grace,9.12.1906\n"
	mend := func(rows iter.Seq2[person, error]) iter.Seq2[person, error] {
		return func(yield func(person, error) bool) {
			for p, err := range rows {
				p.Name = strings.ToUpper(p.Name[:1]) + p.Name[1:]
				var day, month, year int
				if _, scanErr := fmt.Sscanf(p.Born, "%d.%d.%d", &day, &month, &year); err == nil {
					err = scanErr
				}
				p.Born = fmt.Sprintf("%04d-%02d-%02d", year, month, day)
				if !yield(p, err) {
					return
				}
			}
		}
	}
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{Conn: exampleServer(), Table: "people"})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	res, err := l.Load(ctx, loader.Records("export", mend(loader.Read[person](strings.NewReader(export)))))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Rows, "rows")
	// Output: 2 rows
}

// Fields of another file get the columns' names, and a column what is the same in all records.
func ExampleConfig_select() {
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{
		Conn: exampleServer(), Table: "people",
		Select: "no AS id, surname AS name, nullif(birthday, 'unknown') AS born",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	res, err := l.Load(ctx, loader.Reader("staff", strings.NewReader("no,surname,birthday,room\n1,Lovelace,1815-12-10,7\n2,Hopper,unknown,8\n")))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Rows, "rows")
	// Output: 2 rows
}

// A load that was stopped goes on where it was when the same input is loaded again, and
// one that is complete says so.
func ExampleLoader_Load_again() {
	path, remove := exampleFile("id,name\n1,Ada\n2,Grace\n")
	defer remove()
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{Conn: exampleServer(), Table: "people"})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	for range 2 {
		res, err := l.Load(ctx, loader.File(path))
		if done, ok := errors.AsType[*loader.CompleteError](err); ok {
			fmt.Println("complete before:", done.Rows, "rows")
		} else if err != nil {
			log.Fatal(err)
		} else {
			fmt.Println("stored:", res.Rows, "rows")
		}
	}
	// Output:
	// stored: 2 rows
	// complete before: 2 rows
}

// Records that cannot be stored are kept aside, with the reason, and all others are
// stored.
func ExampleConfig_maxErrors() {
	path, remove := exampleFile("id,name,born\n1,Ada,1815-12-10\n2,Grace,soon\n3,Edsger,1930-05-11\n")
	defer remove()
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{
		Conn: exampleServer(), Table: "people",
		MaxErrors: loader.ErrorLimit{Percent: 50}, RejectsDir: filepath.Dir(path),
	})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	res, err := l.Load(ctx, loader.File(path))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Rows, "rows,", res.Rejected, "rejected:", res.Reasons[0].Example)
	mend, err := os.ReadFile(strings.TrimSuffix(res.Rejects, ".jsonl") + ".csv")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(mend))
	// Output:
	// 2 rows, 1 rejected: invalid input syntax for type date: "soon"
	// id,name,born
	// 2,Grace,soon
}

// A record whose key a row has already takes its place, or is left out.
func ExampleConfig_onConflict() {
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{Conn: exampleServer(), Table: "people", OnConflict: loader.ConflictUpdate})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	for _, in := range []string{"id,name\n1,Ada\n2,Gracie\n", "id,name\n2,Grace\n3,Edsger\n"} {
		res, err := l.Load(ctx, loader.Reader("people", strings.NewReader(in)))
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(res.Rows-res.Updated, "rows added,", res.Updated, "replaced")
	}
	// Output:
	// 2 rows added, 0 replaced
	// 1 rows added, 1 replaced
}

// counted makes its rows when they are asked for, in blocks of a hundred.
type counted struct{}

func (counted) Header() []string { return []string{"id", "name"} }
func (counted) Len() int64       { return 50 }
func (counted) AppendBlock(dst []byte, i int64) []byte {
	for id := i * 100; id < (i+1)*100; id++ {
		dst = fmt.Appendf(dst, "%d,somebody\n", id)
	}
	return dst
}

// Rows that a program makes come in blocks, which several goroutines make at once. A
// load of them goes on after a stop, as a file does.
func ExampleBlocks() {
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{Conn: exampleServer(), Table: "people"})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	res, err := l.Load(ctx, loader.Blocks("counted people", counted{}))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.Rows, "rows")
	// Output: 5000 rows
}

// A record at fault is named by its line and column.
func ExampleRowError() {
	ctx := context.Background()
	l, err := loader.Open(ctx, loader.Config{Conn: exampleServer(), Table: "people"})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	_, err = l.Load(ctx, loader.Reader("people.csv", strings.NewReader("id,name\n1,Ada\nII,Grace\n")))
	if row, ok := errors.AsType[*loader.RowError](err); ok {
		fmt.Printf("line %d, column %s of %s\n", row.Line, row.Column, row.File)
	}
	// Output: line 3, column id of people.csv
}

// Tables of a set are loaded after those to which they refer.
func ExampleOpenSet() {
	dir, err := os.MkdirTemp("", "shardload-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	conn, err := pgx.ParseConfig(pgtest.Example(exampleTable, "CREATE TABLE pets (owner bigint REFERENCES people, name text)"))
	if err != nil {
		log.Fatal(err)
	}
	var tables []*loader.SetTable
	for _, table := range []struct{ name, rows string }{
		{"pets", "owner,name\n1,Rex\n2,Tom\n"},
		{"people", "id,name,born\n1,Ada,1815-12-10\n2,Grace,1906-12-09\n"},
	} {
		path := filepath.Join(dir, table.name+".csv")
		if err := os.WriteFile(path, []byte(table.rows), 0o600); err != nil {
			log.Fatal(err)
		}
		tables = append(tables, &loader.SetTable{
			Config: loader.Config{Conn: conn, Table: table.name},
			Inputs: []loader.Input{loader.File(path)},
		})
	}
	ctx := context.Background()
	set, err := loader.OpenSet(ctx, tables...)
	if err != nil {
		log.Fatal(err)
	}
	defer set.Close()
	results, err := set.Load(ctx, loader.SetOptions{Replace: true})
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(r.Table.Config.Table, r.Inputs[0].Rows)
	}
	// Output:
	// people 2
	// pets 2
}
