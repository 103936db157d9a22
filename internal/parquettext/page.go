package parquettext

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/parquet-go/parquet-go/format"
)

// Lengths of a page's header, in bytes: what is read at first, and the longest that is read.
const (
	usualHeader = 1 << 10
	maxHeader   = 8 << 20
)

// A pageReader reads the pages of a column chunk, one after the other. It believes no number
// before it has compared it with what is there.
type pageReader struct {
	r      io.ReaderAt
	l      *leaf
	meta   *format.ColumnMetaData
	codec  codec
	at     int64 // of the next page
	end    int64 // of the last byte that may belong to the chunk
	left   int64 // values that no page had yet
	dict   *dictionary
	limit  int // longest page, in bytes
	head   []byte
	packed []byte // a page as it is stored
	header format.PageHeader
}

// A page is some of a column's values, with the levels that say where they belong.
type page struct {
	before int64  // rows that start before it in the row group
	starts int    // rows that start in it
	n      int    // entries: values, and what stands for those that are not there
	reps   []byte // one for each entry, nil if all are 0
	defs   []byte // one for each entry, nil if all values are there
	values values
	mem    int // bytes that it occupies
}

// paddingOfOld is by how much some old writers say that a chunk is too short: the length of
// the header of its dictionary.
const paddingOfOld = 100

func newPageReader(r io.ReaderAt, l *leaf, meta *format.ColumnMetaData, limit int, dataEnd int64) (*pageReader, error) {
	p := &pageReader{r: r, l: l, meta: meta, left: meta.NumValues, limit: limit, at: startOf(meta)}
	if p.codec = codecs[meta.Codec]; p.codec == nil {
		return nil, fmt.Errorf("is compressed by %s, which cannot be read", meta.Codec)
	}
	p.end = min(p.at+meta.TotalCompressedSize+paddingOfOld, dataEnd)
	return p, nil
}

// startOf returns where a column chunk begins.
func startOf(meta *format.ColumnMetaData) int64 {
	if d := meta.DictionaryPageOffset; d >= int64(len(Magic)) && d < meta.DataPageOffset {
		return d
	}
	return meta.DataPageOffset
}

// next reads the next page of data, io.EOF after the last one. before is how many rows began
// before it. Values of a page that ends at or before row skip are not decoded.
func (p *pageReader) next(before, skip int64) (*page, error) {
	for p.left > 0 {
		if err := p.readHeader(); err != nil {
			return nil, err
		}
		h := &p.header
		switch h.Type {
		case format.DictionaryPage:
			if err := p.readDictionary(); err != nil {
				return nil, fmt.Errorf("dictionary: %w", err)
			}
		case format.DataPage, format.DataPageV2:
			return p.readData(before, skip)
		default: // an index, or what is not known yet: it has no values
			p.at += int64(h.CompressedPageSize)
		}
	}
	return nil, io.EOF
}

// readHeader reads the header at p.at, and goes behind it.
func (p *pageReader) readHeader() error {
	for size := usualHeader; ; size *= 8 {
		n := min(int64(size), p.end-p.at)
		if n <= 0 {
			return fmt.Errorf("its pages end at byte %d, %d values too early", p.at, p.left)
		}
		if int64(cap(p.head)) < n {
			p.head = make([]byte, n)
		}
		b := p.head[:n]
		if err := readAt(p.r, b, p.at); err != nil {
			return err
		}
		length, err := structLen(b)
		if errors.Is(err, errShort) && n == int64(size) && size < maxHeader {
			continue
		}
		if err != nil {
			return fmt.Errorf("page at byte %d: %w", p.at, err)
		}
		p.header = format.PageHeader{}
		if err := decodeStruct(b[:length], &p.header); err != nil {
			return fmt.Errorf("page at byte %d: %w", p.at, err)
		}
		p.at += int64(length)
		return p.checkHeader()
	}
}

// checkHeader compares what the header says with what is there.
func (p *pageReader) checkHeader() error {
	h := &p.header
	long, short := int64(h.UncompressedPageSize), int64(h.CompressedPageSize)
	switch {
	case long < 0 || short < 0 || short > p.end-p.at:
		return fmt.Errorf("page at byte %d: is said to be of %d bytes, and %d are left", p.at, short, p.end-p.at)
	case long > int64(p.limit) || short > int64(p.limit):
		return &limitError{size: max(long, short), limit: p.limit}
	case h.Type == format.DataPage && !h.DataPageHeader.Valid, h.Type == format.DataPageV2 && !h.DataPageHeaderV2.Valid,
		h.Type == format.DictionaryPage && !h.DictionaryPageHeader.Valid:
		return fmt.Errorf("page at byte %d: has the header of another kind of page", p.at)
	}
	return nil
}

// body reads the page, which follows its header, and compares it with its checksum.
func (p *pageReader) body() ([]byte, error) {
	n := int(p.header.CompressedPageSize)
	if cap(p.packed) < n {
		p.packed = make([]byte, n)
	}
	b := p.packed[:n]
	if err := readAt(p.r, b, p.at); err != nil {
		return nil, err
	}
	if sum := p.header.CRC; sum != 0 && uint32(sum) != crc32.ChecksumIEEE(b) {
		return nil, fmt.Errorf("page at byte %d: is damaged: its checksum is %08x, want %08x", p.at, crc32.ChecksumIEEE(b), uint32(sum))
	}
	p.at += int64(n)
	return b, nil
}

// unpackPage returns a page decompressed.
func (p *pageReader) unpackPage(b []byte, size int) ([]byte, error) {
	out := make([]byte, size)
	if err := p.codec(out, b); err != nil {
		return nil, p.damaged(err)
	}
	return out, nil
}

// damaged returns err as one of the page before p.at.
func (p *pageReader) damaged(err error) error {
	return fmt.Errorf("page before byte %d: is damaged: %w", p.at, err)
}

func (p *pageReader) readDictionary() error {
	if p.dict != nil {
		return errors.New("there are two")
	}
	h := &p.header.DictionaryPageHeader.V
	if h.Encoding != format.Plain && h.Encoding != plainDictionary {
		return fmt.Errorf("is encoded as %s", h.Encoding)
	}
	b, err := p.body()
	if err != nil {
		return err
	}
	data, err := p.unpackPage(b, int(p.header.UncompressedPageSize))
	if err != nil {
		return err
	}
	if h.NumValues < 0 {
		return p.damaged(errCount)
	}
	if err := p.checkCount(int64(h.NumValues)); err != nil {
		return err
	}
	v, err := plainValues(p.l, data, int(h.NumValues))
	if err != nil {
		return p.damaged(err)
	}
	p.dict = &dictionary{values: v, n: int(h.NumValues)}
	return nil
}

// checkCount makes sure that a page does not have too many entries: a few bytes can stand for
// any number of equal ones.
func (p *pageReader) checkCount(n int64) error {
	const each = 8 // bytes in memory
	if n > int64(p.limit/each) {
		return &limitError{size: n * each, limit: p.limit}
	}
	return nil
}

// errCount is of a page that has another number of values than it says.
var errCount = errors.New("has another number of values than it says")

// readData reads the page of data, the header of which was read.
func (p *pageReader) readData(before, skip int64) (*page, error) {
	h := &p.header
	n := h.DataPageHeader.V.NumValues
	if h.Type == format.DataPageV2 {
		n = h.DataPageHeaderV2.V.NumValues
	}
	if n < 0 || int64(n) > p.left {
		return nil, p.damaged(errCount)
	}
	if err := p.checkCount(int64(n)); err != nil {
		return nil, err
	}
	p.left -= int64(n)
	if p.l.rep == 0 && before+int64(n) <= skip {
		p.at += int64(h.CompressedPageSize)
		return &page{before: before, starts: int(n)}, nil
	}
	b, err := p.body()
	if err != nil {
		return nil, err
	}
	pg := &page{before: before, n: int(n)}
	var data []byte
	encoding := h.DataPageHeader.V.Encoding
	if h.Type == format.DataPageV2 {
		encoding = h.DataPageHeaderV2.V.Encoding
		data, err = p.levelsV2(pg, b)
	} else {
		data, err = p.levelsV1(pg, b)
	}
	if err != nil {
		return nil, p.damaged(err)
	}
	there := pg.n
	if pg.defs != nil {
		there = countOf(pg.defs, p.l.def)
		if there == pg.n {
			pg.defs = nil
		}
	}
	if pg.starts = pg.n; pg.reps != nil {
		pg.starts = countOf(pg.reps, 0)
	}
	if pg.values, err = p.decode(encoding, data, there); err != nil {
		return nil, p.damaged(err)
	}
	pg.mem = len(data) + len(pg.reps) + len(pg.defs) + pg.values.mem()
	return pg, nil
}

// levelsV1 reads the levels of a page of the first version, which are compressed together
// with its values, and returns what follows them.
func (p *pageReader) levelsV1(pg *page, b []byte) (data []byte, err error) {
	data, err = p.unpackPage(b, int(p.header.UncompressedPageSize))
	if err != nil {
		return nil, err
	}
	h := &p.header.DataPageHeader.V
	for _, level := range []struct {
		highest  byte
		encoding format.Encoding
		to       *[]byte
	}{{p.l.rep, h.RepetitionLevelEncoding, &pg.reps}, {p.l.def, h.DefinitionLevelEncoding, &pg.defs}} {
		if level.highest == 0 {
			continue
		}
		if level.encoding != format.RLE {
			return nil, fmt.Errorf("its levels are encoded as %s, which cannot be read", level.encoding)
		}
		if len(data) < 4 || uint64(binary.LittleEndian.Uint32(data)) > uint64(len(data)-4) {
			return nil, errPacked
		}
		size := 4 + int(binary.LittleEndian.Uint32(data))
		if *level.to, err = readLevels(data[4:size], pg.n, level.highest); err != nil {
			return nil, err
		}
		data = data[size:]
	}
	return data, nil
}

// levelsV2 reads the levels of a page of the second version, which stand in front of its
// values and are not compressed, and returns the values.
func (p *pageReader) levelsV2(pg *page, b []byte) (data []byte, err error) {
	h := &p.header.DataPageHeaderV2.V
	reps, defs := int64(h.RepetitionLevelsByteLength), int64(h.DefinitionLevelsByteLength)
	size := int64(p.header.UncompressedPageSize)
	if reps < 0 || defs < 0 || reps+defs > int64(len(b)) || reps+defs > size {
		return nil, errPacked
	}
	if p.l.rep > 0 {
		if pg.reps, err = readLevels(b[:reps], pg.n, p.l.rep); err != nil {
			return nil, err
		}
	}
	if p.l.def > 0 {
		if pg.defs, err = readLevels(b[reps:reps+defs], pg.n, p.l.def); err != nil {
			return nil, err
		}
	}
	b, size = b[reps+defs:], size-reps-defs
	if c := h.IsCompressed; c.Valid && !c.V {
		return append([]byte(nil), b...), nil // b is read into again
	}
	if len(b) == 0 && size == 0 {
		return nil, nil
	}
	return p.unpackPage(b, int(size))
}

// readLevels reads n levels, none of which is above the highest.
func readLevels(b []byte, n int, highest byte) ([]byte, error) {
	u := unpacker{src: b, width: bitsOf(int(highest))}
	levels, err := unpack(make([]byte, 0, n), n, &u)
	if err != nil {
		return nil, err
	}
	for _, l := range levels {
		if l > highest {
			return nil, errPacked
		}
	}
	return levels, nil
}

// bitsOf returns how many bits numbers up to highest need.
func bitsOf(highest int) (n uint) {
	for ; highest > 0; highest >>= 1 {
		n++
	}
	return n
}

func countOf(levels []byte, of byte) (n int) {
	for _, l := range levels {
		if l == of {
			n++
		}
	}
	return n
}

// A limitError is of a page that is longer than pages may be.
type limitError struct {
	size  int64
	limit int
}

func (e *limitError) Error() string {
	return fmt.Sprintf("has a page of %d bytes in memory, and at most %d are read at once; write the file anew with smaller row groups", e.size, e.limit)
}
