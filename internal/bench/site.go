package bench

import (
	"context"

	"github.com/dustin/go-humanize"
	"github.com/jackc/pgx/v5"

	"shardload/internal/server"
)

// A site is what all arms load on: the server with the tables, and the input files.
type site struct {
	cfg   Config
	conn  *pgx.Conn
	citus bool
	place *place
	files map[Point]*inputFile // by shape, rows and order alone
}

func (s *site) connect(ctx context.Context) (*pgx.Conn, error) {
	return server.Open(ctx, s.cfg.Conn)
}

// table returns the name of the point's table.
func (s *site) table(p Point) string { return s.place.table(p) }

// file returns the point's input.
func (s *site) file(p Point) *inputFile { return s.files[inputOf(p)] }

// inputOf returns the settings of p that its input depends on.
func inputOf(p Point) Point { return Point{Shape: p.Shape, Rows: p.Rows, Order: p.Order} }

// makeFile writes the point's input, if it is not there.
func (s *site) makeFile(ctx context.Context, p Point) error {
	if s.file(p) != nil {
		return nil
	}
	s.cfg.Note("writing %s rows of %s, %s", humanize.Comma(p.Rows), p.Shape, p.Order)
	f, err := makeFile(ctx, s.cfg.Dir, s.cfg.Seed, p)
	if err != nil {
		return err
	}
	s.files[inputOf(p)] = f
	return nil
}
