package selection

import (
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5/pgtype"
)

// What is wrong with an expression into which the moment may get.
const (
	textMoment     = "it reads a date or time from a text that is more than a field, and may be a word such as 'now'"
	constantMoment = "a constant in it may be that of the moment, or of a day beside it: make it of its parts, with make_date() or make_timestamptz()"
)

// textHint says what to do about textMoment.
const textHint = "cast the field itself, of which each record is checked, or read it with to_date() or to_timestamp(), which know no such words"

// moment returns what in an expression, which nothing else makes waver, may be the moment's, and
// what to say of it; nil for nothing. A text that is read as a date or time may be a word such as
// 'now', and of all texts only the fields themselves, of which there are so many, are looked at in
// each record.
func (f *facts) moment(expr *node, fields int) (*node, string) {
	for n := range expr.all() {
		if arg, ok := f.reads(n); ok && !isField(arg, fields) {
			return n, textMoment
		}
		if p := f.funcs[n.number("funcid")]; n.kind == "FUNCEXPR" && p.input {
			return n, fmt.Sprintf("function %s may be the input function of a type, and read a word such as 'now': write a cast", p.name)
		}
		if n.kind == "CONST" && n.get("constisnull").word == "false" && f.near(n) {
			return n, constantMoment
		}
	}
	return nil, ""
}

// reads reports whether n reads a text as a type that may be a date or time, and returns the text.
func (f *facts) reads(n *node) (text *node, ok bool) {
	switch {
	case n.kind == "COERCEVIAIO":
		return n.child("arg"), f.types[n.number("resulttype")].clock
	case n.kind == "FUNCEXPR" && f.funcs[n.number("funcid")].cast:
		if args := n.nodes("args"); len(args) > 0 {
			text = args[0]
		}
		return text, f.types[n.number("funcresulttype")].clock
	}
	return nil, false
}

// castTo returns the types of what functions of casts return.
func (f *facts) castTo(exprs []*node) (types []int) {
	for _, expr := range exprs {
		for n := range expr.all() {
			if n.kind == "FUNCEXPR" && f.funcs[n.number("funcid")].cast {
				types = append(types, n.number("funcresulttype"))
			}
		}
	}
	return types
}

// isField reports whether expr is the text of one of so many fields, or that or NULL.
func isField(expr *node, fields int) bool {
	for expr != nil {
		switch args := expr.nodes("args"); {
		case expr.kind == "RELABELTYPE":
			expr = expr.child("arg")
		case expr.kind == "NULLIFEXPR" && len(args) == 2:
			expr = args[0]
		default:
			return expr.kind == "VAR" && expr.number("varattno") <= fields
		}
	}
	return false
}

// besideMoment is how far from the moment a constant may be that is made of it: 'tomorrow 23:00', in
// another time zone.
var besideMoment = map[int]int64{pgtype.DateOID: 2, pgtype.TimestampOID: 48 * 3600e6, pgtype.TimestamptzOID: 48 * 3600e6}

// near reports whether a constant is of a day beside the moment.
func (f *facts) near(n *node) bool {
	typ := n.number("consttype")
	most, ok := besideMoment[typ]
	if !ok {
		return false
	}
	datum, ok := n.datum()
	if !ok || len(datum) != 8 {
		return true
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} { // the server's is one of them
		for _, m := range f.moments[typ] {
			if len(m) != 8 {
				return true
			}
			if d := int64(order.Uint64(datum)) - int64(order.Uint64(m)); -most <= d && d <= most {
				return true
			}
		}
	}
	return false
}
