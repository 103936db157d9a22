package generate_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"shardload/generate"
	"shardload/internal/pgtest"
	"shardload/schema"
)

var dirty = generate.Config{Companies: 500, Campaigns: 3000, Ads: 20_000, Skew: 0.8, Seed: 1, Dirty: 0.03}

// damagedRecords reads the list of a file's damaged records, by line.
func damagedRecords(t *testing.T, dir string, f generate.File) map[int64]generate.DamagedRecord {
	t.Helper()
	list := map[int64]generate.DamagedRecord{}
	counts := map[generate.Damage]int64{}
	for line := range bytes.Lines(read(t, dir, f.Dirty.List)) {
		var r generate.DamagedRecord
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		list[r.Line] = r
		counts[r.Damage]++
	}
	if diff := cmp.Diff(f.Dirty.Records, counts); diff != "" {
		t.Errorf("%s: damaged records (-manifest +list):\n%s", f.Name, diff)
	}
	return list
}

// The list names each record that is not what it is in the clean dataset, and no
// other; as many as asked for, of all kinds.
func TestDamageIsListed(t *testing.T) {
	clean := dirty
	clean.Dirty = 0
	for _, out := range []generate.Output{{}, {Format: generate.Text}, {Format: generate.JSON}, {NoHeader: true}, {Part: 2, Parts: 2}, {Split: 2 << 20}} {
		cleanDir, _ := write(t, clean, out)
		dir, m := write(t, dirty, out)
		kinds := map[generate.Damage]int64{}
		var rows, damaged int64
		for _, f := range m.Files {
			list := damagedRecords(t, dir, f)
			want := slices.Collect(bytes.Lines(read(t, cleanDir, f.Name)))
			got := slices.Collect(bytes.Lines(read(t, dir, f.Name)))
			if len(got) != len(want) {
				t.Fatalf("%s: %d lines, %d without damage", f.Name, len(got), len(want))
			}
			for i := range got {
				r, listed := list[int64(i)+1]
				if bytes.Equal(got[i], want[i]) == listed {
					t.Fatalf("%s: line %d is %q, clean %q, listed as %v", f.Name, i+1, got[i], want[i], r)
				}
			}
			for kind, n := range f.Dirty.Records {
				kinds[kind] += n
				damaged += n
			}
			rows += f.Rows
		}
		if len(kinds) != 6 {
			t.Errorf("kinds of damage: %v, want six", kinds)
		}
		if share := float64(damaged) / float64(rows); share < dirty.Dirty*0.75 || share > dirty.Dirty*1.1 {
			t.Errorf("%v: %.4f of the records are damaged, want %v less the few that are spared", out, share, dirty.Dirty)
		}
	}
}

// A server refuses each damaged record for the reason that the list gives, stores
// the orphans, and then has the checksums of the manifest.
func TestServerRefusesDamage(t *testing.T) {
	codes := map[generate.Damage][]string{
		generate.WrongType:    {"22P02", "22007"},
		generate.MissingField: {"22P04"},
		generate.DuplicateKey: {"23505"},
		generate.BadEncoding:  {"22021"},
		generate.OutOfRange:   {"22003", "22008"},
		generate.Orphan:       {""},
	}
	for _, out := range []generate.Output{{NoHeader: true}, {Format: generate.Text}} {
		t.Run(out.Format.String(), func(t *testing.T) {
			dsn := pgtest.Plain(t)
			conn := pgtest.Connect(t, dsn)
			dir, m := write(t, dirty, out)
			for _, f := range m.Files {
				s := schema.Lookup(f.Table)
				psql(t, dsn, dir, s.CreateSQL(), s.PrimaryKeySQL())
				list := damagedRecords(t, dir, f)
				var clean []byte
				records := map[int64][]byte{}
				line := int64(0)
				for record := range bytes.Lines(read(t, dir, f.Name)) {
					if line++; list[line].Damage != "" {
						records[line] = record
					} else {
						clean = append(clean, record...)
					}
				}
				if err := copyIn(t, conn, s.Name, out.Format, clean); err != nil {
					t.Fatal(err)
				}
				stored := f.Rows - int64(len(list))
				for _, line := range slices.Sorted(maps.Keys(records)) {
					err := copyIn(t, conn, s.Name, out.Format, records[line])
					if got := code(err); !slices.Contains(codes[list[line].Damage], got) {
						t.Errorf("%s:%d: %q, said to be %v: SQLSTATE %q, %v", f.Name, line, records[line], list[line], got, err)
					}
					if err == nil {
						stored++
					}
				}
				if got, made := f.Stored(), table(t, dataset(t, dirty), f.Table).Stored(); got != stored || made != stored {
					t.Errorf("%s: %d rows are said to be stored, %d by the table; %d are", f.Name, got, made, stored)
				}
			}
			checkSums(t, dsn, m)
		})
	}
}

func copyIn(t *testing.T, conn *pgx.Conn, table string, format generate.Format, records []byte) error {
	_, err := conn.PgConn().CopyFrom(t.Context(), bytes.NewReader(records), fmt.Sprintf("COPY %s FROM STDIN (FORMAT %s)", table, format))
	return err
}

func code(err error) string {
	if failed, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failed.Code
	}
	return ""
}

// The record with the key that another repeats stands before it in the file.
func TestRepeatedKeysComeSecond(t *testing.T) {
	dir, m := write(t, dirty, generate.Output{NoHeader: true})
	for _, f := range m.Files {
		list := damagedRecords(t, dir, f)
		seen := map[string]bool{}
		columns := len(schema.Lookup(f.Table).PrimaryKey)
		line := int64(0)
		for record := range strings.Lines(string(read(t, dir, f.Name))) {
			line++
			key := strings.Join(strings.SplitN(record, ",", columns+1)[:columns], ",")
			if got := list[line].Damage == generate.DuplicateKey; got != seen[key] && (got || list[line].Damage == "") {
				t.Fatalf("%s:%d: key %s, listed as %q, seen before: %v", f.Name, line, key, list[line].Damage, seen[key])
			}
			seen[key] = true
		}
	}
}

// What is damaged, and how, depends on the dataset alone.
func TestDamageIsDeterministic(t *testing.T) {
	one := dirty
	one.Procs = 1
	dir, want := write(t, one, generate.Output{NoHeader: true})
	three := dirty
	three.Procs = 3
	_, got := write(t, three, generate.Output{NoHeader: true})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("with 3 procs (-1 proc +got):\n%s", diff)
	}
	var blocks []byte
	blocks = append(blocks, whole(table(t, dataset(t, dirty), "ads"))...)
	if !bytes.Equal(blocks, read(t, dir, "ads.csv")) {
		t.Error("the blocks of ads are not its file")
	}
	if path := filepath.Join(dir, "ads.dirty.jsonl"); len(read(t, dir, filepath.Base(path))) == 0 {
		t.Errorf("%s is empty", path)
	}
}
