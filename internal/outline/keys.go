package outline

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"shardload/internal/fault"
	"shardload/internal/input"
)

// readKeys finds all keys that the records of JSON have, in the order in which they first
// appear: any record may be the first that has one. It also finds those of which any value is
// an object or an array, since all of a column's values are then written as JSON.
func (r *reader) readKeys(ctx context.Context) error {
	if slices.Contains(r.cfg.Files, "-") {
		return fault.Advise(errors.New("-: records of JSON are read twice, as the last one may have a key of its own, and standard input can be read once"),
			"write it to a file and name that")
	}
	r.progress.passes.Store(2)
	seen := map[string]bool{}
	r.nested = map[string]bool{}
	note := func(key string) error {
		if !seen[key] {
			seen[key] = true
			r.keys = append(r.keys, key)
		}
		return nil
	}
	for _, file := range r.cfg.Files {
		if err := r.readKeysOf(ctx, file, note); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) readKeysOf(ctx context.Context, file string, note func(key string) error) (err error) {
	feed, done, err := r.open(ctx, file)
	if err != nil {
		return err
	}
	defer func() {
		done()
		err = errors.Join(err, feed.Close())
	}()
	keyed, ok := feed.(input.Keyed)
	if !ok {
		return fmt.Errorf("%s: its records have no keys", file)
	}
	var t input.Transcript
	for buf := []byte(nil); ; {
		c, err := feed.Next(ctx, buf)
		if ended(err) {
			return nil
		}
		if err != nil {
			return err
		}
		if c.Number == 0 {
			keyed.SetKeys(nil, note)
			keyed.NoteNested(func(key string) { r.nested[key] = true })
		}
		if _, err := c.Fill(&t); err != nil {
			return err
		}
		buf = c.Buffer() // what is wrong with a record is found when it is read again
	}
}
