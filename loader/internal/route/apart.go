package route

import "context"

// Apart runs fn, which changes the table in a way that the load does not mind, while the fence is
// open: on another connection it would wait for it. No row is on its way yet. If the table is
// another one afterwards that is an error.
func Apart(ctx context.Context, f *Fence, fn func() error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.unlock(ctx); err != nil {
		return err
	}
	if err := fn(); err != nil {
		return err
	}
	return f.t.Persist(ctx, func() error {
		if err := f.lock(ctx); err != nil {
			return err
		}
		return f.check(ctx)
	})
}
