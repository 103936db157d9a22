package selection

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// A source is a statement that has a list and a condition in it, and where.
type source struct {
	sql         string
	list, where string
	listAt      int  // offset in bytes of list in sql
	whereAt     int  // of where, -1 if the statement has none
	chars       bool // the server counts characters, and not bytes
}

// newSource returns, after a statement's beginning, the query for values of q, which is the
// list with names for its columns, and a place after its items, over a relation. The line
// breaks end what would be a comment to the end of the line.
func newSource(begin, values, list, where, place, from string, names []string, chars bool) *source {
	s := &source{list: list, where: where, whereAt: -1, chars: chars}
	s.sql = begin + "SELECT " + values + " FROM (SELECT "
	s.listAt = len(s.sql)
	s.sql += list + "\n" + place + " FROM " + from + " AS " + Input
	if where != "" {
		s.sql += " WHERE "
		s.whereAt = len(s.sql)
		s.sql += where + "\n"
	}
	s.sql += ") AS q"
	if len(names) > 0 {
		s.sql += " (" + strings.Join(names, ", ") + ")"
	}
	return s
}

// mistake returns what is wrong at an offset in bytes of the statement, -1 for an unknown one.
func (s *source) mistake(at int, message, hint string) *MistakeError {
	e := &MistakeError{Text: s.list, At: -1, Message: message, Hint: hint}
	switch {
	case at < s.listAt:
	case s.whereAt >= 0 && at >= s.whereAt:
		e.Condition, e.Text = true, s.where
		e.At = min(at-s.whereAt, len(s.where))
	default:
		e.At = min(at-s.listAt, len(s.list))
	}
	if e.At == len(e.Text) { // after blanks is before them, for a reader
		e.At = len(strings.TrimRight(e.Text, " \t\r\n"))
	}
	return e
}

// offset returns the offset in bytes of what the server calls a position: the number of a
// character, from 1, or of a byte. -1 if it names none.
func (s *source) offset(position int) int {
	if position <= 0 {
		return -1
	}
	if !s.chars {
		return min(position-1, len(s.sql))
	}
	at := 0
	for range position - 1 {
		_, n := utf8.DecodeRuneInString(s.sql[at:])
		at += n
	}
	return at
}

// own returns a message of the server about the statement without what it quotes of our own
// part of it, which begins after the user's text.
func (s *source) own(message string, at int) string {
	if at < s.listAt {
		return message
	}
	end := s.listAt + len(s.list)
	if s.whereAt >= 0 && at >= s.whereAt {
		end = s.whereAt + len(s.where)
	}
	for stop := len(s.sql); stop > max(at, end); stop-- { // the longest piece that is quoted
		quoted := `"` + s.sql[at:stop] + `"`
		if !strings.Contains(message, quoted) {
			continue
		}
		if at >= end || strings.TrimSpace(s.sql[at:end]) == "" {
			message = strings.Replace(message, " at or near "+quoted, " at its end", 1)
			return strings.Replace(message, quoted, "its end", 1)
		}
		return strings.Replace(message, quoted, fmt.Sprintf(`"%s"`, strings.TrimSpace(s.sql[at:end])), 1)
	}
	return message
}
