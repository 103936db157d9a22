package ledger

import (
	"context"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// A Part is an input of a set. Each is loaded once.
type Part struct {
	Name string // relative to what the command named, in the set's order of parts
	Size int64  // in stored bytes, or blocks; -1 if unknown
	Tag  string // an ETag, or a time of modification; "" if unknown
	// Head and Tail are hashes of its first and last bytes as they are stored, and Sum is one of all of it,
	// decompressed: 0 if they are not known. By them a part that has another tag is told to be the same.
	Head, Tail, Sum uint64
}

// maxPartName is the longest name of a part in bytes: the index takes no longer one.
const maxPartName = 2048

// PartCounts are the parts that a process sees, by what the ledger knew of them.
type PartCounts struct {
	New     int // it knew nothing
	Waiting int // no run has claimed them so far
	Taken   int // an open run has
	Loaded  int // a run that is closed has stored them
	Failed  int // a run has given them up; they are tried again where RetryFailed says so
}

// Seen are the parts that a process sees, in their order, and how far it has looked for some to
// claim. It keeps the names of those that are not loaded.
type Seen struct {
	PartCounts
	// Changed are parts that a run has claimed or loaded, of another size or with another tag than
	// now. What becomes of them is the caller's to say: see Retag.
	Changed []ChangedPart
	// Reads has how those that are loaded were read, by Form.Manner, where that is known, and how many
	// they are.
	Reads map[string]int

	set  string
	left []string
	at   int
}

// A ChangedPart is a part as it is now, and as it was when the ledger heard of it last.
type ChangedPart struct {
	Part
	Was    Part
	Loaded bool // and not only claimed
}

// Left returns how many of the parts were not loaded when they were added.
func (s *Seen) Left() int { return len(s.left) }

// Unseen returns how many of the parts that Left counts Claim has not looked at.
func (s *Seen) Unseen() int { return len(s.left) - s.at }

// Rewind makes Claim look at all parts again that were not loaded: some may have been released.
func (s *Seen) Rewind() { s.at = 0 }

// addAtOnce is how many parts are added in one transaction.
const addAtOnce = 5000

// AddParts enters the parts that the ledger does not know yet, and says what it knows of the others.
// The names differ, and are in the set's order, in which they are claimed. A part that waits takes its
// new size and tag. If there are new ones a set that was ended goes on.
func AddParts(ctx context.Context, conn *pgx.Conn, t Target, set string, parts []Part) (*Seen, error) {
	s := &Seen{set: set, Reads: map[string]int{}}
	for _, p := range parts {
		if len(p.Name) > maxPartName {
			return nil, fmt.Errorf("the name %.80q… has %d bytes, and may have %d", p.Name, len(p.Name), maxPartName)
		}
	}
	for page := range slices.Chunk(parts, addAtOnce) {
		err := guardedSets(ctx, conn, t, func() error { return s.add(ctx, conn, t, page) })
		if err != nil {
			return nil, explain(err, t, "keep a list of parts")
		}
	}
	return s, nil
}

// CountParts says what the ledger knows of these parts, and changes nothing: those that it does not
// know are in no count.
func CountParts(ctx context.Context, conn *pgx.Conn, t Target, set string, parts []Part) (*Seen, error) {
	s := &Seen{set: set, Reads: map[string]int{}}
	for page := range slices.Chunk(parts, addAtOnce) {
		err := guardedBy(ctx, conn, guardSets(t, reading), "ROLLBACK", func() error {
			_, _, err := s.compare(ctx, conn, t, page)
			return err
		})
		if err != nil {
			return nil, explain(err, t, "count parts")
		}
	}
	return s, nil
}

// add adds a page of parts, in a transaction.
func (s *Seen) add(ctx context.Context, conn *pgx.Conn, t Target, page []Part) error {
	known, waiting, err := s.compare(ctx, conn, t, page)
	if err != nil {
		return err
	}
	var missing []Part
	for i, p := range page {
		if !known[i] {
			missing = append(missing, p)
		}
	}
	if err := renew(ctx, conn, t, s.set, waiting); err != nil || len(missing) == 0 {
		return err
	}
	ended, err := holdSet(ctx, conn, t, s.set)
	if err != nil {
		return err
	}
	added, err := insertParts(ctx, conn, t, s.set, missing)
	s.New += added
	s.Waiting += len(missing) - added // another process was first
	if err == nil && ended && added > 0 {
		_, err = conn.Exec(ctx, `UPDATE `+t.Jobs()+` SET finished = NULL WHERE id = $1::pg_catalog.text`, s.set)
	}
	return err
}

// What a part is, as compare asks for it.
const (
	partWaits int16 = iota
	partFailed
	partTaken
	partLoaded
)

// compare counts those of the page that are known, says which they are, and which of them wait and
// have changed. It notes the names of those that are not loaded.
func (s *Seen) compare(ctx context.Context, conn *pgx.Conn, t Target, page []Part) (known []bool, waiting []Part, err error) {
	names, sizes, tags := columnsOf(page)
	rows, err := conn.Query(ctx, fmt.Sprintf(`SELECT u.n, CASE WHEN r.closed IS NOT NULL THEN %d WHEN p.run IS NOT NULL THEN %d WHEN p.failed IS NOT NULL THEN %d ELSE %d END::pg_catalog.int2,
		p.size IS NOT DISTINCT FROM nullif(u.size, -1) AND p.tag IS NOT DISTINCT FROM nullif(u.tag, ''), coalesce(p.size, -1), coalesce(p.tag, ''), coalesce(p.head, 0), coalesce(p.tail, 0), coalesce(p.sum, 0),
		CASE WHEN r.closed IS NOT NULL THEN coalesce(r.reads, '') ELSE '' END
		FROM unnest($2::pg_catalog.text[], $3::pg_catalog.int8[], $4::pg_catalog.text[]) WITH ORDINALITY AS u (name, size, tag, n)
		JOIN %s AS p ON p.of = $1::pg_catalog.text AND p.name = u.name LEFT JOIN %s AS r ON r.id = p.run`, partLoaded, partTaken, partFailed, partWaits, t.parts(), t.runs()), s.set, names, sizes, tags)
	if err != nil {
		return nil, nil, err
	}
	known, loaded := make([]bool, len(page)), make([]bool, len(page))
	var n, head, tail, sum int64
	var state int16
	var same bool
	var reads string
	var was Part
	_, err = pgx.ForEachRow(rows, []any{&n, &state, &same, &was.Size, &was.Tag, &head, &tail, &sum, &reads}, func() error {
		now := page[n-1]
		known[n-1], loaded[n-1] = true, state == partLoaded
		*map[int16]*int{partWaits: &s.Waiting, partFailed: &s.Failed, partTaken: &s.Taken, partLoaded: &s.Loaded}[state]++
		was.Name, was.Head, was.Tail, was.Sum = now.Name, uint64(head), uint64(tail), uint64(sum)
		if reads != "" {
			s.Reads[reads]++
		}
		switch {
		case same:
		case state == partWaits || state == partFailed:
			waiting = append(waiting, now)
		default:
			s.Changed = append(s.Changed, ChangedPart{Part: now, Was: was, Loaded: state == partLoaded})
		}
		return nil
	})
	for i, p := range page {
		if !loaded[i] {
			s.left = append(s.left, p.Name)
		}
	}
	return known, waiting, err
}

func columnsOf(parts []Part) (names []string, sizes []int64, tags []string) {
	for _, p := range parts {
		names, sizes, tags = append(names, p.Name), append(sizes, p.Size), append(tags, p.Tag)
	}
	return names, sizes, tags
}

// insertParts inserts those that are not there, and returns how many.
func insertParts(ctx context.Context, conn *pgx.Conn, t Target, set string, parts []Part) (int, error) {
	names, sizes, tags := columnsOf(parts)
	tag, err := conn.Exec(ctx, `INSERT INTO `+t.parts()+` (of, name, size, tag)
		SELECT $1::pg_catalog.text, u.name, nullif(u.size, -1), nullif(u.tag, '') FROM unnest($2::pg_catalog.text[], $3::pg_catalog.int8[], $4::pg_catalog.text[]) AS u (name, size, tag)
		ON CONFLICT DO NOTHING`, set, names, sizes, tags)
	return int(tag.RowsAffected()), err
}

// renew gives parts that no run has claimed their size and tag.
func renew(ctx context.Context, conn *pgx.Conn, t Target, set string, parts []Part) error {
	if len(parts) == 0 {
		return nil
	}
	names, sizes, tags := columnsOf(parts)
	_, err := conn.Exec(ctx, `UPDATE `+t.parts()+` AS p SET size = nullif(u.size, -1), tag = nullif(u.tag, ''), head = NULL, tail = NULL, sum = NULL
		FROM unnest($2::pg_catalog.text[], $3::pg_catalog.int8[], $4::pg_catalog.text[]) AS u (name, size, tag)
		WHERE p.of = $1::pg_catalog.text AND p.name = u.name AND p.run IS NULL`, set, names, sizes, tags)
	return err
}

// Retag notes the size, tag and hashes of parts of a set that are what they were, or of which the
// hashes are known by now.
func Retag(ctx context.Context, conn *pgx.Conn, t Target, set string, parts []Part) error {
	names, sizes, tags := columnsOf(parts)
	var heads, tails, sums []int64
	for _, p := range parts {
		heads, tails, sums = append(heads, int64(p.Head)), append(tails, int64(p.Tail)), append(sums, int64(p.Sum))
	}
	err := guardedSets(ctx, conn, t, func() error {
		_, err := conn.Exec(ctx, `UPDATE `+t.parts()+` AS p SET size = nullif(u.size, -1), tag = nullif(u.tag, ''), head = nullif(u.head, 0), tail = nullif(u.tail, 0), sum = nullif(u.sum, 0)
			FROM unnest($2::pg_catalog.text[], $3::pg_catalog.int8[], $4::pg_catalog.text[], $5::pg_catalog.int8[], $6::pg_catalog.int8[], $7::pg_catalog.int8[]) AS u (name, size, tag, head, tail, sum)
			WHERE p.of = $1::pg_catalog.text AND p.name = u.name`, set, names, sizes, tags, heads, tails, sums)
		return err
	})
	if err != nil {
		return explain(err, t, "note what parts are")
	}
	return nil
}

// RetryFailed makes all parts of a set wait again that have failed, and lets runs be taken over that
// have: a process that begins calls it once, before it claims anything. What fails from then on it
// leaves alone.
func RetryFailed(ctx context.Context, conn *pgx.Conn, t Target, set string) error {
	err := guardedSets(ctx, conn, t, func() error {
		for _, table := range []string{t.runs(), t.parts()} {
			if _, err := conn.Exec(ctx, `UPDATE `+table+` SET failed = NULL WHERE of = $1::pg_catalog.text AND failed IS NOT NULL`, set); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return explain(err, t, "try again what has failed")
	}
	return nil
}
