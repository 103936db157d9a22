package loader_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/pgtest"
	"shardload/loader"
)

type thing struct {
	ID     int32  `csv:"id"`
	Tenant int32  `csv:"tenant"`
	Name   string `csv:"name"`
}

// mended passes things on with better names, and fails at one that has none.
func mended(seq iter.Seq2[thing, error]) iter.Seq2[thing, error] {
	return func(yield func(thing, error) bool) {
		for th, err := range seq {
			if err == nil && th.Name == "" {
				err = errNameless
			}
			th.Name = strings.ToUpper(th.Name)
			if !yield(th, err) {
				return
			}
		}
	}
}

var errNameless = errors.New("a thing without a name")

func TestRecords(t *testing.T) {
	t.Parallel()
	pgtest.One(t, func(t *testing.T, dsn string) {
		conn := pgtest.Connect(t, dsn)
		exec(t, conn, things)
		distribute(t, conn, "things", "tenant")
		l := open(t, loader.Config{Conn: parse(t, dsn), Table: "things"})
		in := "tenant,id,name\n5,1,\"a,b\"\n6,2,c\n"
		res, err := l.Load(context.Background(), loader.Records("things", mended(loader.Read[thing](strings.NewReader(in)))))
		if err != nil || res.Rows != 2 {
			t.Fatalf("%d rows, %v", res.Rows, err)
		}
		if diff := cmp.Diff([]string{"1|5|A,B", "2|6|C"}, query(t, conn, "SELECT id, tenant, name FROM things ORDER BY id")); diff != "" {
			t.Errorf("rows (-want +got):\n%s", diff)
		}
		for name, bad := range map[string]string{"the transform's error": "id,tenant,name\n3,5,\n", "gocsv's error": "id,tenant,name\nx,5,a\n"} {
			res, err = l.Load(context.Background(), loader.Records("things", mended(loader.Read[thing](strings.NewReader(bad)))))
			if err == nil || res.Rows != 0 || name == "the transform's error" && !errors.Is(err, errNameless) {
				t.Errorf("%s: %d rows, %v", name, res.Rows, err)
			}
		}
	})
}

// TestReadStops holds that a consumer may stop early and that an error is the
// last thing it sees.
func TestReadStops(t *testing.T) {
	t.Parallel()
	n := 0
	for range loader.Read[thing](strings.NewReader("id,tenant,name\n1,1,a\n2,2,b\n")) {
		n++
		break
	}
	failed := 0
	for _, err := range loader.Read[thing](strings.NewReader("id,tenant,name\n1,1,a\nx,2,b\n3,3,c\n")) {
		if err != nil {
			failed++
		}
		n++
	}
	if n != 3 || failed != 1 {
		t.Errorf("%d records seen, %d errors; want 3 and 1", n, failed)
	}
}
