package waiting

import "testing"

// Of several waits the last one is shown, and each ends by itself.
func TestWaits(t *testing.T) {
	t.Parallel()
	var ws Waits
	shows := func(want string) {
		t.Helper()
		if w, ok := ws.Now(); w.For != want || ok != (want != "") {
			t.Errorf("shows %q, %v; want %q", w.For, ok, want)
		}
	}
	shows("")
	endServer := ws.Begin(Wait{For: "a server"})
	gone := false
	ws.BeginWhile(Wait{For: "a lock"}, func() bool { return !gone })
	shows("a lock")
	gone = true
	shows("a server")
	endServer()
	endServer()
	shows("")
	if w := ws.list; len(w) != 0 {
		t.Errorf("%d waits are left", len(w))
	}
	var none *Waits
	none.Begin(Wait{For: "nobody asks"})()
	if _, ok := none.Now(); ok {
		t.Error("nothing is shown where nobody keeps it")
	}
}
