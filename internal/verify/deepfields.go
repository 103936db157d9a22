package verify

import (
	"context"
	"errors"
	"fmt"
	"io"

	"shardload/internal/catalog"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
)

// readFields is readLayout for an input of another format than COPY's.
func (in Input) readFields(ctx context.Context, how Reading, t *catalog.Table) (lay *layout, err error) {
	feed, err := in.open(how)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	keyed, ok := feed.(input.Keyed)
	if !ok {
		return nil, fmt.Errorf("%s: contents of this format cannot be compared", in.name)
	}
	if _, err := feed.Next(ctx, nil); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	lay = &layout{keys: input.KeyedColumns(t, keyed.Header()), nulls: pgcsv.Nulls{Null: how.dialect.Null}}
	for _, c := range lay.keys {
		lay.names = append(lay.names, c.Name)
	}
	return lay, nil
}

// errNotLoaded is of a key by which the loader refuses a record.
var errNotLoaded = errors.New("is no column that is loaded")

// setKeys tells feed of which fields its records are.
func (lay *layout) setKeys(feed input.Keyed) {
	feed.SetKeys(input.KeyFields(lay.keys), func(string) error { return errNotLoaded })
}
