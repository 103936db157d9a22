package selection

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// A node is one of a query tree, as the server writes it in pg_rewrite.ev_action
// (PostgreSQL, src/backend/nodes/outfuncs.c): {KIND :key value :key value ...}.
type node struct {
	kind   string
	fields []field
}

// A field is a key and its values: in most cases one.
type field struct {
	key    string
	values []value
}

// A value is a node, a list, or a word. Only one of them is set; all are zero for a list
// without elements.
type value struct {
	node *node
	list []value
	word string
}

// errTree says that a tree is not written as it is known to be.
var errTree = errors.New("the server writes its query trees in a way that is not known")

// maxDepth is how deep a tree may be: a recursion of this depth needs little memory.
const maxDepth = 10_000

// parseTree reads the text of an ev_action: a list of trees.
func parseTree(text string) ([]value, error) {
	p := &treeParser{rest: text}
	v, err := p.value(0)
	if err != nil {
		return nil, err
	}
	if p.next() != "" {
		return nil, fmt.Errorf("%w: there is more behind it", errTree)
	}
	return v.list, nil
}

// A treeParser cuts the text into tokens. A character that separates tokens is escaped in
// them with a backslash, so that no name looks like a piece of a tree.
type treeParser struct {
	rest   string
	peeked string
}

// next takes the next token, "" at the end.
func (p *treeParser) next() string {
	token := p.peek()
	p.peeked = ""
	return token
}

func (p *treeParser) peek() string {
	if p.peeked != "" {
		return p.peeked
	}
	const blanks, marks = " \n\t", "(){}"
	p.rest = strings.TrimLeft(p.rest, blanks)
	end := 0
	for end < len(p.rest) && strings.IndexByte(blanks+marks, p.rest[end]) < 0 {
		if p.rest[end] == '\\' {
			end++
		}
		end++
	}
	if end == 0 {
		end = 1 // a mark
	}
	end = min(end, len(p.rest))
	p.peeked, p.rest = p.rest[:end], p.rest[end:]
	return p.peeked
}

// value reads a node, a list or a word.
func (p *treeParser) value(depth int) (value, error) {
	if depth > maxDepth {
		return value{}, errors.New("it is nested too deeply")
	}
	switch token := p.next(); token {
	case "", ")", "}":
		return value{}, fmt.Errorf("%w: %q in place of a value", errTree, token)
	case "{":
		n, err := p.node(depth)
		return value{node: n}, err
	case "(":
		v := value{list: []value{}}
		for p.peek() != ")" {
			element, err := p.value(depth + 1)
			if err != nil {
				return v, err
			}
			v.list = append(v.list, element)
		}
		p.next()
		return v, nil
	default:
		return value{word: token}, nil
	}
}

// node reads a node after its brace. A key without a value is refused: a name that begins
// with a colon could pass for one.
func (p *treeParser) node(depth int) (*node, error) {
	n := &node{kind: p.next()}
	for {
		key := p.next()
		if key == "}" && len(n.fields) == 0 {
			return n, nil
		}
		if len(key) < 2 || key[0] != ':' {
			return nil, fmt.Errorf("%w: %q in place of a key", errTree, key)
		}
		f := field{key: key[1:]}
		for p.peek() != "}" && !strings.HasPrefix(p.peek(), ":") {
			v, err := p.value(depth + 1)
			if err != nil {
				return nil, err
			}
			f.values = append(f.values, v)
		}
		if f.values == nil {
			return nil, fmt.Errorf("a name in it begins with a colon, or %w", errTree)
		}
		n.fields = append(n.fields, f)
		if p.peek() == "}" {
			p.next()
			return n, nil
		}
	}
}

// get returns the value of a key: the first one, as a name may look like a later one.
func (n *node) get(key string) value {
	for _, f := range n.fields {
		if f.key == key {
			return f.values[0]
		}
	}
	return value{}
}

// has reports whether n has the key.
func (n *node) has(key string) bool {
	for _, f := range n.fields {
		if f.key == key {
			return true
		}
	}
	return false
}

// child returns the node of a key, nil for none.
func (n *node) child(key string) *node { return n.get(key).node }

// nodes returns the nodes in the list of a key.
func (n *node) nodes(key string) (list []*node) {
	for _, v := range n.get(key).list {
		if v.node != nil {
			list = append(list, v.node)
		}
	}
	return list
}

// number returns the number of a key, -1 for none.
func (n *node) number(key string) int {
	i, err := strconv.Atoi(n.get(key).word)
	if err != nil {
		return -1
	}
	return i
}

// empty reports whether a key has a list of no elements, NULL, or is not there.
func (n *node) empty(key string) bool {
	v := n.get(key)
	return v.node == nil && len(v.list) == 0 && (v.word == "" || v.word == "<>")
}

// all returns n and the nodes in it, from the outside inwards.
func (n *node) all() iter.Seq[*node] {
	return func(yield func(*node) bool) { n.walk(yield) }
}

func (n *node) walk(yield func(*node) bool) bool {
	if !yield(n) {
		return false
	}
	for _, f := range n.fields {
		for _, v := range f.values {
			if !v.walk(yield) {
				return false
			}
		}
	}
	return true
}

func (v value) walk(yield func(*node) bool) bool {
	if v.node != nil {
		return v.node.walk(yield)
	}
	for _, element := range v.list {
		if !element.walk(yield) {
			return false
		}
	}
	return true
}

// all returns the nodes of v.
func (v value) all() iter.Seq[*node] {
	return func(yield func(*node) bool) { v.walk(yield) }
}
