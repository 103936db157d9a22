package job

import (
	"context"
	"errors"

	"shardload/internal/input"
	"shardload/loader/failure"
	"shardload/loader/internal/lane"
)

// CheckInput makes sure, when all of the input is read and its last batches wait, that
// it is the one that was opened: nobody has changed the file meanwhile.
func (p *rereader) CheckInput(ctx context.Context, lanes *lane.Lanes, j *Job) error {
	if err := lanes.Front().Prove(true); err != nil {
		return j.Named(err)
	}
	feed, ok := p.In.Feed.(input.Bytes)
	if !ok { // of a set each part is looked at when it ends
		return nil
	}
	touched, timeTells, err := feed.Touched()
	if err != nil || !touched {
		return err
	}
	changed := &failure.ChangedInputError{Job: p.In.Name, When: failure.ChangedMeanwhile}
	if lanes.Front().Place().Sum == 0 || !p.In.Repeats {
		if !timeTells {
			return nil // it is new, and nothing says that it was changed
		}
		return changed
	}
	p.note("it was changed while it was loaded, as it seems")
	end, err := p.endOf(ctx, j.Fingerprint.From, -1)
	if err != nil {
		return err
	}
	if end.Sum != lanes.Front().Place().Sum {
		return changed
	}
	return nil
}

// Named fills in what the lanes do not know of an input that was changed.
func (j *Job) Named(err error) error {
	if other, ok := errors.AsType[*lane.OtherInputError](err); ok {
		return &failure.ChangedInputError{Job: j.Name, ID: j.ID, When: failure.ChangedBegun, Stored: other.Stored}
	}
	return err
}
