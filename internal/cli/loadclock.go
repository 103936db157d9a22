package cli

import (
	"fmt"
	"strings"
	"time"

	"shardload/loader"
)

// A loadClock measures a load as its user waits for it: from the start of the command to its end.
type loadClock struct {
	begun             time.Time
	connecting, empty time.Duration
	opening, copying  time.Duration // of the inputs
	indexes           time.Duration
	statistics        time.Duration
}

// loadParts are the parts of a load's time, in seconds. Their sum is all of it.
type loadParts struct {
	Connect    float64 `json:"connect"` // until rows can be stored, but for Empty
	Empty      float64 `json:"empty"`
	Copy       float64 `json:"copy"`
	Indexes    float64 `json:"indexes"`
	Statistics float64 `json:"statistics"`
	Finish     float64 `json:"finish"` // the end of each job, and of the command
}

// connected says that the servers are connected, and what is loaded is known.
func (c *loadClock) connected() { c.connecting = time.Since(c.begun) }

// add adds the times of an input.
func (c *loadClock) add(r loader.Result) {
	c.opening += r.Times.Opening
	c.copying += r.Times.Copying
}

// end says how long the load of r took, now that it is over.
func (c *loadClock) end(r *loadReport) {
	r.elapsed = time.Since(c.begun)
	r.Seconds, r.RowsPerSecond = r.elapsed.Seconds(), rate(r.total(), r.elapsed)
	r.Parts = loadParts{
		Connect: (c.connecting + c.opening).Seconds(), Empty: c.empty.Seconds(), Copy: c.copying.Seconds(), Indexes: c.indexes.Seconds(), Statistics: c.statistics.Seconds(),
		Finish: max(r.elapsed-c.connecting-c.opening-c.empty-c.copying-c.indexes-c.statistics, 0).Seconds(),
	}
}

// String says where the time went: "connect 0.05 s, copy 3.31 s, statistics 2.20 s, finish 0.09 s".
// What was not asked for is left out.
func (p loadParts) String() string {
	var list []string
	for _, part := range []struct {
		name    string
		seconds float64
		always  bool
	}{
		{"connect", p.Connect, true},
		{"empty", p.Empty, false},
		{"copy", p.Copy, true},
		{"indexes", p.Indexes, false},
		{"statistics", p.Statistics, false},
		{"finish", p.Finish, true},
	} {
		if part.always || part.seconds > 0 {
			list = append(list, fmt.Sprintf("%s %s", part.name, seconds(time.Duration(part.seconds*float64(time.Second)))))
		}
	}
	return strings.Join(list, ", ")
}
