// Package infer finds out which table takes all of some values: the narrowest type of each
// column that certainly gives them back, NOT NULL where none is missing, and how many
// different values there are.
//
// A type is chosen only where internal/pgcopy or internal/pgtext are sure of every value,
// and where the server prints the same text again, or means the same beyond doubt: 007 is
// text, and so is 01/02/2026. What is unclear is text.
package infer

import (
	"bytes"
	"slices"

	"github.com/jackc/pgx/v5/pgtype"

	"shardload/internal/pgcopy"
	"shardload/internal/pgtext"
)

// A Type is one of the types that columns are given, by its name in SQL.
type Type string

// The types.
const (
	Boolean     Type = "boolean"
	Integer     Type = "integer"
	Bigint      Type = "bigint"
	Numeric     Type = "numeric"
	Double      Type = "double precision"
	UUID        Type = "uuid"
	Date        Type = "date"
	Timestamp   Type = "timestamp"
	Timestamptz Type = "timestamptz"
	Inet        Type = "inet"
	JSONB       Type = "jsonb"
	JSON        Type = "json" // only of a Document
	Text        Type = "text"
	Bytea       Type = "bytea" // only where an input says so
)

// kinds are sets of what values look like. Each value is of one kind.
type kinds uint16

const (
	aText kinds = 1 << iota
	aBoolean
	anInteger // that int4 holds
	aBigint   // that only int8 holds
	aDecimal
	aFloat // that double precision gives back, and numeric does not, as 1e-7
	aWord  // NaN and the infinities, of which no column consists
	aUUID
	aCapitalUUID
	aDate
	aTimestamp
	aTimestamptz
	anInet
	aJSON
)

// typeOf returns the type that takes values of all these kinds.
func (k kinds) typeOf(roundFloats bool) Type {
	const whole, exact = anInteger | aBigint, anInteger | aBigint | aDecimal
	for _, t := range []struct {
		only kinds
		is   Type
	}{
		{aBoolean, Boolean},
		{anInteger, Integer},
		{whole, Bigint},
		{exact, Numeric},
		{aUUID | aCapitalUUID, UUID},
		{aDate, Date},
		{aTimestamp, Timestamp},
		{aTimestamptz, Timestamptz},
		{anInet, Inet},
		{aJSON, JSONB},
	} {
		if k != 0 && k&^t.only == 0 {
			return t.is
		}
	}
	if k&^(exact|aFloat|aWord) == 0 && k&^aWord != 0 && !roundFloats {
		return Double
	}
	return Text
}

// The judges of values.
var (
	int4        = form(pgtype.Int4OID)
	int8        = form(pgtype.Int8OID)
	numeric     = form(pgtype.NumericOID)
	date        = form(pgtype.DateOID)
	float8      = encoder(pgtype.Float8OID)
	uuid        = encoder(pgtype.UUIDOID)
	timestamp   = encoder(pgtype.TimestampOID)
	timestamptz = encoder(pgtype.TimestamptzOID)
	booleans    = []string{"true", "false", "t", "f", "TRUE", "FALSE", "True", "False"}
	words       = []string{"NaN", "Infinity", "-Infinity"}
)

// form returns what tells whether the server prints a value of that type as it is.
func form(oid uint32) func(v, scratch []byte) bool {
	f, ok := pgtext.For(oid, -1, pgtext.Options{})
	if !ok {
		panic("infer: pgtext does not know a type that it has")
	}
	return func(v, scratch []byte) bool {
		text, sure := f(v, scratch)
		return sure && string(text) == string(v)
	}
}

// encoder returns what tells whether the server certainly takes a value for one of that
// type.
func encoder(oid uint32) func(v, scratch []byte) bool {
	e, ok := pgcopy.For(oid, -1, pgcopy.Options{})
	if !ok {
		panic("infer: pgcopy does not know a type that it has")
	}
	return func(v, scratch []byte) bool {
		_, sure := e(scratch[:0], v)
		return sure
	}
}

// kindOf returns what v looks like. scratch is memory to work in.
func kindOf(v, scratch []byte) kinds {
	if len(v) == 0 {
		return aText
	}
	switch c := v[0]; {
	case c-'0' <= 9 || c == '-' || c == '.':
		if k := numberKind(v, scratch); k != aText {
			return k
		}
	case c == '{' || c == '[':
		if isJSON(v) {
			return aJSON
		}
		return aText
	}
	switch {
	case len(v) <= len("FALSE") && slices.Contains(booleans, string(v)):
		return aBoolean
	case len(v) <= len("-Infinity") && slices.Contains(words, string(v)):
		return aWord
	case len(v) == uuidLen && uuid(v, scratch):
		if bytes.ContainsAny(v, "ABCDEF") {
			return aCapitalUUID
		}
		return aUUID
	}
	if k := timeKind(v, scratch); k != aText {
		return k
	}
	if isInet(v) {
		return anInet
	}
	return aText
}

// uuidLen is the length of a uuid with its dashes. One without them may be any hash.
const uuidLen = 36

// numberKind returns aText for what is no number, and for numbers that no type is sure of.
func numberKind(v, scratch []byte) kinds {
	switch {
	case len(v) > longestNumber:
		return aText
	case int4(v, scratch):
		return anInteger
	case int8(v, scratch):
		return aBigint
	case numeric(v, scratch):
		return aDecimal
	case isFloat(v) && float8(v, scratch) && survives(v):
		return aFloat
	}
	return aText
}

// timeKind returns aText for what is neither a day nor a moment.
func timeKind(v, scratch []byte) kinds {
	const day = len("2006-01-02")
	switch {
	case len(v) == day && date(v, scratch):
		return aDate
	case len(v) <= day:
		return aText
	case timestamptz(v, scratch):
		return aTimestamptz
	case timestamp(v, scratch):
		return aTimestamp
	}
	return aText
}
