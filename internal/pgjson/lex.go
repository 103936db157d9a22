package pgjson

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// Bytes of a word of eight.
const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// marked returns a word in which the high bit of the first byte of w is set that is a quote,
// a backslash, a control character or no ASCII. Bits before it are clear.
func marked(w uint64) uint64 {
	quote := w ^ ones*'"'
	backslash := w ^ ones*'\\'
	return ((quote-ones)&^quote | (backslash-ones)&^backslash | (w-ones*0x20)&^w | w) & highs
}

// plainEnd returns the position of the first byte of b, from p on, that is a quote, a
// backslash, a control character or no ASCII; len(b) if there is none.
func plainEnd(b []byte, p int) int {
	for ; p+8 <= len(b); p += 8 {
		if m := marked(binary.LittleEndian.Uint64(b[p:])); m != 0 {
			return p + bits.TrailingZeros64(m)>>3
		}
	}
	for p < len(b) && b[p] >= 0x20 && b[p] != '"' && b[p] != '\\' && b[p] < utf8.RuneSelf {
		p++
	}
	return p
}

// stringEnd returns the position of the quote that ends the string which begins at b[p],
// behind its first quote, and whether a backslash stands in it.
func stringEnd(b []byte, p int) (end int, escaped bool, err error) {
	start, ascii := p, true
	for {
		p = plainEnd(b, p)
		if p == len(b) {
			return p, escaped, &syntaxError{at: p, what: "the string has no end"}
		}
		switch c := b[p]; {
		case c == '"':
			if !ascii && !utf8.Valid(b[start:p]) {
				return p, escaped, &syntaxError{at: start + invalidAt(b[start:p]), what: "it is not valid UTF-8"}
			}
			return p, escaped, nil
		case c == '\\':
			escaped = true
			n := escapeLen(b[p:])
			if n == 0 {
				return p, escaped, &syntaxError{at: p, what: "JSON has no such escape"}
			}
			p += n
		case c < 0x20:
			return p, escaped, controlError(p, c)
		default:
			for ascii = false; p < len(b) && b[p] >= utf8.RuneSelf; p++ {
			}
		}
	}
}

// invalidAt returns where b is not UTF-8.
func invalidAt(b []byte) int {
	for i := 0; i < len(b); {
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n <= 1 {
			return i
		}
		i += n
	}
	return len(b)
}

// escapeLen returns the length of the escape at the beginning of b, 0 if it is none.
func escapeLen(b []byte) int {
	if len(b) < 2 {
		return 0
	}
	switch b[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(b[2:]); ok {
			return 6
		}
	}
	return 0
}

// hex4 returns the number that the four hexadecimal digits at the beginning of b are.
func hex4(b []byte) (v rune, ok bool) {
	if len(b) < 4 {
		return 0, false
	}
	for _, c := range b[:4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		v = v<<4 | rune(c)
	}
	return v, true
}

// numberEnd returns the position behind the number that begins at b[p], with a digit or a
// minus sign.
func numberEnd(b []byte, p int) (int, error) {
	begin := p
	if b[p] == '-' {
		p++
	}
	first := p
	switch p = digitsEnd(b, p); {
	case p == first && p < len(b) && b[p] == 'I':
		return p, unexpected(b, begin, "a number")
	case p == first:
		return p, noDigit(p)
	}
	if b[first] == '0' && p > first+1 {
		return p, &syntaxError{at: first, what: "a number must not begin with 0"}
	}
	if p < len(b) && b[p] == '.' {
		first = p + 1
		if p = digitsEnd(b, first); p == first {
			return p, noDigit(p)
		}
	}
	if p < len(b) && b[p]|0x20 == 'e' {
		if p++; p < len(b) && (b[p] == '+' || b[p] == '-') {
			p++
		}
		first = p
		if p = digitsEnd(b, first); p == first {
			return p, noDigit(p)
		}
	}
	return p, nil
}

func noDigit(p int) error { return &syntaxError{at: p, what: "a digit is missing"} }

func digitsEnd(b []byte, p int) int {
	for p < len(b) && b[p]-'0' < 10 {
		p++
	}
	return p
}

// wordEnd returns the position behind word, which should stand at b[p].
func wordEnd(b []byte, p int, word string) (int, error) {
	if len(b)-p < len(word) || string(b[p:p+len(word)]) != word {
		return p, unexpected(b, p, "a value")
	}
	return p + len(word), nil
}
