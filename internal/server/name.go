package server

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
)

// errName says what is no name of a table.
var errName = errors.New("write it as SQL does, in double quotes if it has more than small letters, digits and _: TABLE or SCHEMA.TABLE")

// ParseName returns the parts of a table's name that is written as in SQL: ads,
// public.ads, "Ads". It reads as the server does, which from version 16 on does not
// say what is wrong with a name.
func ParseName(name string) (parts []string, err error) {
	rest := trimSpace(name)
	for {
		var part string
		if part, rest, err = parsePart(rest); err != nil {
			return nil, err
		}
		if parts = append(parts, part); len(parts) > 2 {
			return nil, errName
		}
		rest = trimSpace(rest)
		if rest == "" {
			return parts, nil
		}
		if rest[0] != '.' {
			return nil, errName
		}
		rest = trimSpace(rest[1:])
	}
}

// parsePart returns the name with which text begins, and what comes after it.
func parsePart(text string) (part, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		end := strings.IndexAny(text, ".\" \t\n\r\f\v")
		if end < 0 {
			end = len(text)
		}
		if end == 0 || end < len(text) && text[end] == '"' || strings.ContainsRune(text[:end], 0) {
			return "", "", errName
		}
		return lower(text[:end]), text[end:], nil
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch {
		case text[i] == 0:
			return "", "", errName
		case text[i] != '"':
			b.WriteByte(text[i])
		case i+1 < len(text) && text[i+1] == '"':
			b.WriteByte('"')
			i++
		case b.Len() == 0:
			return "", "", errName
		default:
			return b.String(), text[i+1:], nil
		}
	}
	return "", "", errName
}

// lower makes the small letters of ASCII, as the server does with what is not quoted.
func lower(s string) string {
	return strings.Map(func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		return c
	}, s)
}

func trimSpace(s string) string { return strings.Trim(s, " \t\n\r\f\v") }

// IsNull returns the SQL that tells whether the value of an expression is NULL. The words
// IS NULL say so of a row of NULLs, too, which is a value: it has a place and a hash.
func IsNull(expr string) string { return expr + " IS NOT DISTINCT FROM NULL" }

// IsNotNull returns the SQL that tells whether an expression has a value: see IsNull.
func IsNotNull(expr string) string { return expr + " IS DISTINCT FROM NULL" }

// Name returns a name of these parts for use in a statement: quoted.
func Name(parts ...string) string { return pgx.Identifier(parts).Sanitize() }
