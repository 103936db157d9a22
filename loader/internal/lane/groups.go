package lane

import "math/bits"

// Groups are the rows of one chunk by their lanes. They enter the lanes in three steps, of which
// only the second is one goroutine's at a time: Count every row; Reserve; Put every row again, in
// the same order, and say so by Copied. They stay with one decoder.
type Groups struct {
	lanes           *Lanes
	sorted, origins bool
	of              []group // by lane; the last has the rows that are rejected
	used            []int32 // groups that have rows
}

// A group is the rows of a chunk that one lane gets, in one notation.
type group struct {
	as    Notation
	rows  int64
	bytes int64 // as those of a batch are counted

	// How many bytes they take of the buffers of a section. Those of lines are without the numbers
	// that say how far the first row is from what the section has before it.
	data, lines, records int

	first, last position // of its rows
	before      position // of the row that was written last

	batch             *Batch // that has its rows; nil if an earlier run has stored them
	atData, atLines   writer
	atKeys, atRecords writer
}

// A position is where a row's record stands, counted from the beginning of its chunk.
type position struct{ line, offset int64 }

func (at position) after(of position) position {
	return position{at.line - of.line, at.offset - of.offset}
}

// size returns how many bytes p takes as two numbers, or as one without the offset.
func (at position) size(origins bool) int {
	n := uvarintLen(uint64(at.line))
	if origins {
		n += uvarintLen(uint64(at.offset))
	}
	return n
}

// uvarintLen returns how many bytes v takes as a uvarint.
func uvarintLen(v uint64) int {
	if v < 0x80 { // as nearly always
		return 1
	}
	return (bits.Len64(v) + 6) / 7
}

// NewGroups returns groups for the rows of chunks that enter l.
func NewGroups(l *Lanes) *Groups {
	return &Groups{lanes: l, sorted: l.Sorted, origins: l.Origins, of: make([]group, len(l.lanes)+1)}
}

// Reset empties g.
func (g *Groups) Reset() {
	for _, i := range g.used {
		g.of[i] = group{}
	}
	g.used = g.used[:0]
}

// group returns the group of the rows of a lane in that notation.
func (g *Groups) group(lane int, as Notation) *group {
	if as == NotationRejected {
		lane = len(g.of) - 1
	}
	return &g.of[lane]
}

// lane returns the lane that group i goes to.
func (g *Groups) lane(i int32) int {
	if int(i) == len(g.of)-1 {
		return 0
	}
	return int(i)
}

// Count counts a row of that many bytes, the record of which starts on that line. at has the rest
// of where it stands; it may be nil where neither Options.Origins nor a row keeps any of it.
// Lines and offsets count from the beginning of the chunk. All rows of one lane are in one
// notation, but for those that are rejected, which are rows of the first lane.
func (g *Groups) Count(lane int, as Notation, size int, line int64, at *Origin) {
	of := g.group(lane, as)
	if of.rows == 0 {
		g.begin(lane, as, line, at)
	} else {
		of.lines += uvarintLen(uint64(line - of.last.line))
	}
	of.last.line = line
	of.rows++
	of.bytes += int64(size)
	if as == NotationRecord {
		size++ // the line break
	}
	of.data += size
	if at != nil {
		g.countOrigin(of, size, at)
	}
}

// begin begins the group of the first row of a lane.
func (g *Groups) begin(lane int, as Notation, line int64, at *Origin) {
	if as == NotationRejected {
		lane = len(g.of) - 1
	}
	g.used = append(g.used, int32(lane))
	of := &g.of[lane]
	of.as, of.first.line = as, line
	if at != nil {
		of.first.offset = at.Offset
	}
}

// countOrigin counts what is kept of a row's origin.
func (g *Groups) countOrigin(of *group, sent int, at *Origin) {
	of.bytes += int64(len(at.Record))
	if !g.origins {
		return
	}
	if of.rows > 1 {
		of.lines += uvarintLen(uint64(at.Offset - of.last.offset))
	}
	of.last.offset = at.Offset
	of.lines += uvarintLen(uint64(at.Size)) + uvarintLen(uint64(sent))
	of.records += len(at.Record)
}

// Put writes a row to where room was reserved for it.
func (g *Groups) Put(lane int, as Notation, row []byte, line int64, at *Origin, key uint64) {
	of := g.group(lane, as)
	if of.batch == nil {
		return
	}
	of.atData.write(row)
	if as == NotationRecord {
		of.atData.write(Newline)
	}
	if g.sorted && as == NotationBinary {
		of.atKeys.writePair(key, uint64(len(row)))
	}
	of.atLines.writeUvarint(uint64(line - of.before.line))
	of.before.line = line
	if g.origins {
		of.putOrigin(len(row), at)
	}
}

// putOrigin writes what is kept of a row's origin.
func (of *group) putOrigin(sent int, at *Origin) {
	if of.as == NotationRecord {
		sent++
	}
	of.atLines.writeUvarint(uint64(at.Offset - of.before.offset))
	of.atLines.writeUvarint(uint64(at.Size))
	of.atLines.writeUvarint(uint64(sent))
	of.atRecords.write(at.Record)
	of.before.offset = at.Offset
}
