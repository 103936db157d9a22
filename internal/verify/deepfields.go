package verify

import (
	"context"
	"errors"
	"io"

	"shardload/internal/catalog"
	"shardload/internal/input"
	"shardload/internal/pgcsv"
)

// readFields is readLayout for an input of another format than COPY's.
func (in Input) readFields(ctx context.Context, how Reading, t *catalog.Table) (lay *layout, err error) {
	feed, err := in.open(ctx, how)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, feed.Close()) }()
	if _, err := feed.Next(ctx, nil); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	lay = &layout{names: feed.Header(), nulls: pgcsv.Nulls{Null: how.dialect.Null}}
	if _, keyed := feed.(input.Keyed); !keyed {
		if err := in.checkHeader(lay.names, t); err != nil {
			return nil, err
		}
		for _, name := range lay.names {
			lay.keys = append(lay.keys, t.Column(name))
		}
		return lay, nil
	}
	lay.keys, lay.names = input.KeyedColumns(t, lay.names), nil
	for _, c := range lay.keys {
		lay.names = append(lay.names, c.Name)
	}
	return lay, nil
}

// errNotLoaded is of a key by which the loader refuses a record.
var errNotLoaded = errors.New("is no column that is loaded")

// setFields tells a feed of another format than COPY's of which fields its records are.
func (lay *layout) setFields(f input.Feed) error {
	switch feed := f.(type) {
	case input.Keyed:
		if lay.plan != nil { // other keys are left out
			feed.SetKeys(input.ChosenFields(lay.plan.FieldColumns()), func(string) error { return nil })
			return nil
		}
		feed.SetKeys(input.KeyFields(lay.keys), func(string) error { return errNotLoaded })
	case input.Typed:
		if lay.plan != nil {
			return feed.SetColumns(lay.plan.FieldColumns())
		}
		return feed.SetColumns(lay.keys, nil, nil)
	}
	return nil
}
