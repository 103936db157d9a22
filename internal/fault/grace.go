package fault

import (
	"context"
	"time"
)

// Grace returns a context that ends CommitGrace after ctx does: for a statement the answer to which is worth
// a moment, or which takes its connection with it when it is cut. The caller must call end.
func Grace(ctx context.Context) (later context.Context, end context.CancelFunc) {
	later, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(CommitGrace, cancel) })
	return later, func() { stop(); cancel() }
}
