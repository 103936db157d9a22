package loader

import (
	"fmt"
	"slices"
	"strings"

	"shardload/internal/catalog"
	"shardload/internal/input"
	"shardload/loader/internal/decode"
	"shardload/loader/internal/target"
)

// setFields tells a feed of another format than COPY's which fields its transcripts have, and
// makes that of first. It returns how many bytes were read for that.
func setFields(f input.Feed, first *input.Chunk, t *catalog.Table, h *Heading) (read int64, err error) {
	switch feed := f.(type) {
	case input.Keyed:
		if h.plan != nil { // other keys are left out
			feed.SetKeys(input.ChosenFields(h.plan.FieldColumns()), func(string) error { return nil })
			break
		}
		feed.SetKeys(input.KeyFields(h.columns), func(key string) error { return decode.UnknownKey(t, key) })
	case input.Typed:
		if h.plan != nil {
			err = feed.SetColumns(h.plan.FieldColumns())
		} else {
			err = feed.SetColumns(h.columns, nil, nil)
		}
	case input.Transcribed:
		err = feed.SetFields(h.fields)
	default:
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	late, err := first.Fill(new(input.Transcript))
	if late {
		read = first.Size
	}
	return read, err
}

// keyedColumns returns the columns that are loaded of an input whose first records have these
// keys. Of those that no key names it leaves out what the role may not insert.
func keyedColumns(t *target.Target, keys []string) ([]*catalog.Column, error) {
	columns := input.KeyedColumns(t.Table, keys)
	if !t.Rights.Insert {
		columns = slices.DeleteFunc(columns, func(c *catalog.Column) bool {
			return !slices.Contains(keys, c.Name) && !slices.Contains(t.Rights.InsertInto, c.Name)
		})
	}
	if len(columns) > 0 {
		return columns, nil
	}
	return nil, fmt.Errorf("none of the first records has a key that is a column of table %s, which has %s", t.Table, strings.Join(t.Table.ColumnNames(), ", "))
}
