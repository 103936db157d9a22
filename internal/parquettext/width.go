package parquettext

import (
	"github.com/parquet-go/parquet-go/format"
)

// maxChunkRows is how many rows a chunk has at most.
const maxChunkRows = 16 << 10

// chunkRows returns how many rows of the group are about a chunk. It depends on nothing but
// the file and the length of chunks.
func (f *File) chunkRows(g *format.RowGroup) (int64, error) {
	width := int64(0)
	for i := range g.Columns {
		w, err := f.widthOf(f.leaves[i], &g.Columns[i].MetaData, g.NumRows)
		if err != nil {
			return 0, err
		}
		width = min(width+w, 1<<40)
	}
	return min(max(int64(f.opt.Chunk)/max(width, 1), 1), maxChunkRows), nil
}

// widthOf returns about how many bytes a row's text has of the column.
func (f *File) widthOf(l *leaf, m *format.ColumnMetaData, rows int64) (int64, error) {
	each := int64(0)
	switch l.kind {
	case format.Boolean:
		each = 2
	case format.Int32, format.Float:
		each = 8
	case format.Int64, format.Double:
		each = 16
	case format.Int96:
		each = 28
	case format.FixedLenByteArray:
		each = 2*int64(l.width) + 3
	default:
		n, err := f.averageOf(l, m)
		if err != nil {
			return 0, err
		}
		each = n + 1
	}
	if l.rep > 0 {
		// rounded up; names of the elements in JSON are not counted
		each = (each+1)*(m.NumValues/rows) + each
	}
	return each, nil
}

// averageOf returns about how long the values of a column of byte arrays are: what is said
// of the whole, and, where there is a dictionary, of its entries.
func (f *File) averageOf(l *leaf, m *format.ColumnMetaData) (int64, error) {
	n := max(m.TotalUncompressedSize, 0) / max(m.NumValues, 1)
	if startOf(m) == m.DataPageOffset && !hasDictionary(m) {
		return n, nil
	}
	p, err := newPageReader(f.r, l, m, f.opt.MaxPage, f.dataEnd)
	if err != nil {
		return 0, err
	}
	if err := p.readHeader(); err != nil {
		return 0, err
	}
	if h := &p.header; h.Type == format.DictionaryPage {
		n = max(n, int64(h.UncompressedPageSize)/int64(max(h.DictionaryPageHeader.V.NumValues, 1)))
	}
	return n, nil
}

func hasDictionary(m *format.ColumnMetaData) bool {
	for _, e := range m.Encoding {
		if e == plainDictionary || e == format.RLEDictionary {
			return true
		}
	}
	return false
}
