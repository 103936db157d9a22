package parquettext

import (
	"errors"
	"fmt"
	"strings"

	"github.com/parquet-go/parquet-go/deprecated"
	"github.com/parquet-go/parquet-go/format"

	"shardload/internal/fault"
)

// maxLevel is the deepest nesting that is read.
const maxLevel = 64

// A node is an element of the schema.
type node struct {
	name     string
	path     string // from the column on, with dots between
	element  *format.SchemaElement
	children []*node
	leaf     *leaf // nil of a group
	leaves   []*leaf
	def, rep byte // levels at which it is there
	optional bool
	repeated bool
}

// A leaf is a column as it is stored.
type leaf struct {
	*node
	index  int // among the leaves
	kind   format.Type
	width  int // bytes of a value of fixed length, 0 for none
	values form
}

// readSchema returns the columns, and all leaves in their order.
func readSchema(elements []format.SchemaElement) (columns []*node, leaves []*leaf, err error) {
	if len(elements) == 0 {
		return nil, nil, errors.New("its schema is empty")
	}
	s := schemaReader{left: elements[1:]}
	for range max(0, int(elements[0].NumChildren.V)) {
		n, err := s.node(nil)
		if err != nil {
			return nil, nil, err
		}
		columns = append(columns, n)
	}
	if len(s.left) > 0 {
		return nil, nil, fmt.Errorf("its schema has %d elements too many", len(s.left))
	}
	return columns, s.leaves, nil
}

type schemaReader struct {
	left   []format.SchemaElement
	leaves []*leaf
	depth  int
}

func (s *schemaReader) node(parent *node) (*node, error) {
	if len(s.left) == 0 {
		return nil, errors.New("its schema ends too early")
	}
	e := &s.left[0]
	s.left = s.left[1:]
	n := &node{name: e.Name, path: e.Name, element: e}
	if parent != nil {
		n.path = parent.path + "." + e.Name
		n.def, n.rep = parent.def, parent.rep
	}
	switch e.RepetitionType.V {
	case format.Required:
	case format.Optional:
		n.optional = true
		n.def++
	case format.Repeated:
		n.repeated = true
		n.def++
		n.rep++
	default:
		return nil, fmt.Errorf("column %q: is neither required nor optional nor repeated", n.path)
	}
	if n.def > maxLevel {
		return nil, fmt.Errorf("column %q: is nested too deeply", n.path)
	}
	if e.Type.Valid {
		return n, s.leafOf(n)
	}
	if s.depth++; s.depth > 2*maxLevel {
		return nil, fmt.Errorf("column %q: is nested too deeply", n.path)
	}
	first := len(s.leaves)
	for range max(0, int(e.NumChildren.V)) {
		child, err := s.node(n)
		if err != nil {
			return nil, err
		}
		n.children = append(n.children, child)
	}
	s.depth--
	if n.leaves = s.leaves[first:len(s.leaves):len(s.leaves)]; len(n.leaves) == 0 {
		return nil, fmt.Errorf("column %q: is a group without columns", n.path)
	}
	return n, nil
}

func (s *schemaReader) leafOf(n *node) error {
	l := &leaf{node: n, index: len(s.leaves), kind: n.element.Type.V}
	switch l.kind {
	case format.Boolean:
		l.width = 1 // in memory
	case format.Int32, format.Float:
		l.width = 4
	case format.Int64, format.Double:
		l.width = 8
	case format.Int96:
		l.width = 12
	case format.ByteArray:
	case format.FixedLenByteArray:
		if l.width = int(n.element.TypeLength.V); l.width <= 0 || l.width > 1<<20 {
			return fmt.Errorf("column %q: values of %d bytes are not read", n.path, l.width)
		}
	default:
		return fmt.Errorf("column %q: is stored as type %d, which is unknown", n.path, l.kind)
	}
	n.leaf = l
	s.leaves = append(s.leaves, l)
	n.leaves = s.leaves[l.index : l.index+1 : l.index+1]
	var err error
	l.values, err = formOf(l)
	return err
}

// isList reports whether n says that it is a list.
func (n *node) isList() bool {
	_, ok := n.element.LogicalType.Value.(*format.ListType)
	return n.leaf == nil && (ok || n.converted(deprecated.List))
}

// isMap reports whether n says that it is a map.
func (n *node) isMap() bool {
	_, ok := n.element.LogicalType.Value.(*format.MapType)
	return n.leaf == nil && (ok || n.converted(deprecated.Map) || n.converted(deprecated.MapKeyValue))
}

func (n *node) converted(to deprecated.ConvertedType) bool {
	return n.element.ConvertedType.Valid && n.element.ConvertedType.V == to
}

// list returns the node that repeats for each element of a list, and the node of the
// element in it, which is the same one where elements cannot be NULL: in the old forms of
// lists, and in columns that repeat without saying that they are lists. Both are nil if n is
// no list.
//
// Source: https://github.com/apache/parquet-format/blob/master/LogicalTypes.md, "Lists" and
// its "Backward-compatibility rules".
func (n *node) list() (repeats, element *node) {
	if n.repeated && !n.isList() && !n.isMap() {
		return n, n
	}
	if !n.isList() || len(n.children) != 1 || !n.children[0].repeated {
		return nil, nil
	}
	r := n.children[0]
	if r.leaf != nil || len(r.children) != 1 || r.name == "array" || r.name == n.name+"_tuple" || r.children[0].repeated || r.isList() || r.isMap() {
		return r, r
	}
	return r, r.children[0]
}

// pairs returns the node that repeats for each pair of a map, and those of key and value,
// which is nil in a map without values. All are nil if n is no map.
func (n *node) pairs() (repeats, key, value *node) {
	if !n.isMap() || len(n.children) != 1 || !n.children[0].repeated || n.children[0].leaf != nil {
		return nil, nil, nil
	}
	switch r := n.children[0]; len(r.children) {
	case 1:
		return r, r.children[0], nil
	case 2:
		return r, r.children[0], r.children[1]
	}
	return nil, nil, nil
}

// kindName says what a column is, in the words of the format.
func (n *node) kindName() string {
	switch {
	case n.isMap():
		return "a map"
	case n.isList() || n.repeated:
		return "a list"
	case n.leaf == nil:
		return "a group of columns"
	}
	name := n.leaf.kind.String()
	if v := n.element.LogicalType.Value; v != nil {
		name += " " + v.String()
	} else if c := n.element.ConvertedType; c.Valid {
		name += " " + convertedNames[c.V]
	}
	return strings.ToLower(name)
}

// uniqueNames returns an error if columns cannot be told from each other.
func uniqueNames(columns []*node) error {
	seen := map[string]bool{}
	for _, c := range columns {
		if seen[c.name] {
			return fault.Advise(fmt.Errorf("two of its columns are called %q", c.name), "write the file anew with another name for one of them")
		}
		seen[c.name] = true
	}
	return nil
}

// convertedNames has what the types are called that files had before there were logical ones.
var convertedNames = map[deprecated.ConvertedType]string{
	deprecated.UTF8: "UTF8", deprecated.Map: "MAP", deprecated.MapKeyValue: "MAP_KEY_VALUE", deprecated.List: "LIST",
	deprecated.Enum: "ENUM", deprecated.Decimal: "DECIMAL", deprecated.Date: "DATE", deprecated.TimeMillis: "TIME_MILLIS",
	deprecated.TimeMicros: "TIME_MICROS", deprecated.TimestampMillis: "TIMESTAMP_MILLIS", deprecated.TimestampMicros: "TIMESTAMP_MICROS",
	deprecated.Uint8: "UINT_8", deprecated.Uint16: "UINT_16", deprecated.Uint32: "UINT_32", deprecated.Uint64: "UINT_64",
	deprecated.Int8: "INT_8", deprecated.Int16: "INT_16", deprecated.Int32: "INT_32", deprecated.Int64: "INT_64",
	deprecated.Json: "JSON", deprecated.Bson: "BSON", deprecated.Interval: "INTERVAL",
}
