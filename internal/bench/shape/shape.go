// Package shape has the kinds of tables that a benchmark loads, and makes rows for them: the
// dataset's ads, and tables as others have them. A row is a function of the seed and its number.
package shape

import (
	"bufio"
	"io"
	"math/rand/v2"

	"shardload/schema"
)

// A Shape is a kind of table, and of the rows that go into it.
type Shape struct {
	Name  string
	About string // what it is, in words
	Table schema.Table
	// Indexes are those beside the primary key's, each as CREATE INDEX has it after the table.
	Indexes []string
	Rows    int64 // by default

	// row appends a record of CSV without its line break. It is nil where the rows are those of
	// the dataset's table.
	row func(dst []byte, d *dice) []byte
}

// All returns the shapes, the dataset's own first.
func All() []*Shape { return []*Shape{&ads, &wide, &json, &indexed, &uuid} }

// Names returns the names of all shapes.
func Names() []string {
	var names []string
	for _, s := range All() {
		names = append(names, s.Name)
	}
	return names
}

// Lookup returns the shape of that name, or nil.
func Lookup(name string) *Shape {
	for _, s := range All() {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Dataset reports whether the rows are those of the dataset's table, which package generate makes.
func (s *Shape) Dataset() bool { return s.row == nil }

// Statements returns what makes the table, under that name, with storage parameters in
// parentheses, or "" for none.
func (s *Shape) Statements(name, parameters string) []string {
	t := s.Table
	t.Name = name
	create := t.CreateSQL()
	if parameters != "" {
		create += " WITH " + parameters
	}
	list := []string{create, t.PrimaryKeySQL()}
	for _, index := range s.Indexes {
		list = append(list, "CREATE INDEX ON "+name+" "+index)
	}
	return list
}

// Key returns the place of the distribution column in a record, from 0.
func (s *Shape) Key() int {
	for i, c := range s.Table.Columns {
		if c.Name == s.Table.DistributionColumn {
			return i
		}
	}
	panic("shape " + s.Name + " has no distribution column") // its table is written in this package
}

// Write writes a header and that many records of CSV.
func (s *Shape) Write(out io.Writer, rows int64, seed uint64) error {
	w := bufio.NewWriterSize(out, 1<<20)
	var line []byte
	for i, name := range s.Table.ColumnNames() {
		if i > 0 {
			line = append(line, ',')
		}
		line = append(line, name...)
	}
	d := newDice(seed)
	for i := range rows {
		line = append(line, '\n')
		if _, err := w.Write(line); err != nil {
			return err
		}
		d.throw(i)
		line = s.row(line[:0], d)
	}
	if _, err := w.Write(append(line, '\n')); err != nil {
		return err
	}
	return w.Flush()
}

// dice are the random numbers of one row.
type dice struct {
	*rand.Rand
	source *rand.PCG
	seed   uint64
	number int64 // of the row, from 0
}

func newDice(seed uint64) *dice {
	source := rand.NewPCG(seed, 0)
	return &dice{Rand: rand.New(source), source: source, seed: seed} // #nosec G404 -- rows, no secrets
}

// throw makes d those of the row of that number.
func (d *dice) throw(number int64) {
	d.number = number
	d.source.Seed(d.seed, uint64(number))
}

// golden is 2^64 divided by the golden section, and odd: its multiples differ.
const golden = 0x9E3779B97F4A7C15

// unique returns a number that no other row has, in random order: SplitMix64, each step of which
// can be undone.
func (d *dice) unique() uint64 {
	x := d.seed + uint64(d.number)*golden
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// of returns one of the words.
func (d *dice) of(words []string) string { return words[d.IntN(len(words))] }

// few returns a number below n, small ones far more often than others.
func (d *dice) few(n int) int {
	f := d.Float64()
	return int(f * f * f * float64(n))
}
