package bench

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"shardload/internal/bench/shape"
	"shardload/loader"
)

// Defaults of the Config's fields.
const (
	DefaultShape  = "ads"
	DefaultShards = 32
	DefaultRepeat = 5
	DefaultLimit  = 5 * time.Minute
	DefaultSlow   = 15 * time.Second
)

// Shapes returns the names of what can be loaded, the default first.
func Shapes() []string { return shape.Names() }

// A Config says what to measure, and where. The zero value of each field but Conn and
// Dir is usable.
type Config struct {
	// Conn names the server; DSN is the same for programs that speak libpq's
	// language. Both are required.
	Conn    *pgx.ConnConfig
	DSN     string
	NodeMap map[string]string // as the loader's

	// Dir is an empty directory for the input files, which the caller removes. The
	// server may read them if it runs on this machine and can enter the directory.
	Dir  string
	Seed uint64

	Grid
	Rounds
	Duties
	// Starting is what it takes to start the loader's program, from when its user has typed it. The
	// clock of an arm that runs within this program has it in its time.
	Starting time.Duration

	// Arms names the arms to run, by their names or the part of it before a colon;
	// empty means all that can run.
	Arms []string
	// Rivals are commands that load a file, too.
	Rivals []Rival

	// steady says that rates are those of the copying alone, of all arms, without what
	// starting and ending a load costs.
	steady bool

	// LimitMemory, if not nil, is called before a run of the loader that may have so many
	// bytes of rows on their way, and end after it: to limit the process as a load limits
	// it.
	LimitMemory func(rows int64) (end func())

	Watch
}

// A Watch is told what a benchmark does while it runs. Each of its functions may be nil.
type Watch struct {
	// Observe is told of each batch that the loader stores, Retried of each that it sends
	// again.
	Observe func(loader.StoredBatch)
	Retried func(node string)
	// Running is told of each run before it begins. What it returns is called when the run has
	// ended.
	Running func(Running) (ended func())
	// Ran is told of each measured run that went well.
	Ran func(Result)
	// Note is told what happens, for a user to follow.
	Note func(format string, args ...any)
}

// A Running is a run that begins.
type Running struct {
	Arm   string // with the settings in which it differs from the base
	Shape string
	Rows  int64
	// Observed says that Observe is told of its batches.
	Observed bool
	// Number is that of the run, from 1, Of how many there will be if no arm is given up.
	Number, Of int
}

// Duties say what every arm does beside copying, while its clock runs.
type Duties struct {
	Replace   bool `json:"replace"`    // it empties the table first
	NoAnalyze bool `json:"no_analyze"` // it leaves the statistics as they are
}

// words names what is done, in order.
func (d Duties) words() string {
	list := []string{"connect"}
	if d.Replace {
		list = append(list, "empty the table")
	}
	list = append(list, "copy")
	if !d.NoAnalyze {
		list = append(list, "ANALYZE")
	}
	return strings.Join(list, ", ")
}

// Rounds say how often each arm is run, and when it is not run again.
type Rounds struct {
	// Repeat is the number of measured runs of each arm, Warmup that of runs before
	// them which do not count. Repeat zero means 5.
	Repeat, Warmup int
	// Slow is how long a run may take for its arm to be run again, unless the
	// fastest arm is not much faster. Zero means 15 s.
	Slow time.Duration
	// Limit ends a run, and its arm with it. Zero means 5 minutes.
	Limit time.Duration
}

// A Rival is a command that loads a CSV file into a table. sh runs it, with
// these replaced: {dsn} without its password, which is in PGPASSWORD, {url}, the
// same as a URL of user, host, port and database alone, {file}, {table}, which is
// {schema}.{name}, {columns} with commas between them, and {workers}.
type Rival struct {
	Name    string
	Command string
}

// withDefaults returns c with its zero fields filled in.
func (c Config) withDefaults() Config {
	c.Grid, c.Rounds = c.Grid.withDefaults(), c.Rounds.withDefaults()
	if c.Note == nil {
		c.Note = func(string, ...any) {}
	}
	if c.Ran == nil {
		c.Ran = func(Result) {}
	}
	if c.Running == nil {
		c.Running = func(Running) func() { return func() {} }
	}
	return c
}

func (r Rounds) withDefaults() Rounds {
	if r.Repeat == 0 {
		r.Repeat = DefaultRepeat
	}
	if r.Slow == 0 {
		r.Slow = DefaultSlow
	}
	if r.Limit == 0 {
		r.Limit = DefaultLimit
	}
	return r
}

// Validate reports all mistakes in what c wants to be measured: not that a server or
// a directory is missing.
func (c Config) Validate() error {
	c = c.withDefaults()
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	c.Grid.check(bad)
	c.Rounds.check(bad)
	for _, r := range c.Rivals {
		if r.Name == "" || r.Command == "" {
			bad("rival %q: want name=command", r.Name)
		}
	}
	c.checkArms(bad)
	return errors.Join(errs...)
}

func (r Rounds) check(bad func(string, ...any)) {
	if r.Repeat < 1 || r.Warmup < 0 {
		bad("%d measured runs and %d before them; want at least 1 and 0", r.Repeat, r.Warmup)
	}
	if r.Slow < 0 || r.Limit < 0 {
		bad("an arm is slow after %s and given up after %s; want times above 0", r.Slow, r.Limit)
	}
}

// checkArms complains about names of arms that there never are.
func (c Config) checkArms(bad func(string, ...any)) {
	names := armNames(c.Rivals)
	for _, name := range c.Arms {
		known := slices.ContainsFunc(names, func(n string) bool { return n == name || strings.HasPrefix(n, name+":") })
		if !known {
			bad("no arm is named %q: want some of %s", name, strings.Join(names, ", "))
		}
	}
}
