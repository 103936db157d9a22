package places

import (
	"fmt"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// meta are the characters that make a name a pattern.
const meta = "*?[{"

// IsPattern reports whether a name has characters that make it a pattern.
func IsPattern(name string) bool { return strings.ContainsAny(name, meta) }

// A pattern says which names it means: relative ones, with slashes.
type pattern struct {
	whole string
	// steps are its components, one for each directory; nil if they cannot be told apart.
	steps []string
}

// everything is the pattern of a directory.
var everything = pattern{whole: "**", steps: []string{"**"}}

// splitPattern returns the directory before the first component that has a pattern, without
// escapes, and the pattern of what lies in it.
func splitPattern(name string) (base string, p pattern, err error) {
	if !doublestar.ValidatePattern(name) {
		return "", p, fmt.Errorf("%s: is no pattern: a bracket, a brace or an escape is not closed", name)
	}
	base, rest := doublestar.SplitPattern(name)
	p.whole = rest
	if !strings.Contains(rest, "{") || !slashInBraces(rest) {
		p.steps = strings.Split(rest, "/")
	}
	return unescape(base), p, nil
}

// slashInBraces reports whether a slash stands between braces: then the components of a
// pattern are not those of the names.
func slashInBraces(s string) bool {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '{':
			depth++
		case '}':
			depth--
		case '/':
			if depth > 0 {
				return true
			}
		}
	}
	return false
}

// unescape takes out the backslashes that make characters what they are.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// matches reports whether the pattern means the name.
func (p pattern) matches(name string) bool {
	return doublestar.MatchUnvalidated(p.whole, name) && !p.hides(name)
}

// hides reports whether a component of name begins with a dot, and none of the pattern does that
// means it.
func (p pattern) hides(name string) bool {
	if !strings.HasPrefix(name, ".") && !strings.Contains(name, "/.") {
		return false
	}
	for step := range strings.SplitSeq(name, "/") {
		if strings.HasPrefix(step, ".") && !p.hasDotted(step) {
			return true
		}
	}
	return false
}

func (p pattern) hasDotted(name string) bool {
	for _, step := range p.steps {
		dotted := strings.HasPrefix(step, ".") || strings.Contains(step, "{.") || strings.Contains(step, ",.")
		if dotted && doublestar.MatchUnvalidated(step, name) {
			return true
		}
	}
	return false
}

// enters reports whether something that the pattern means may lie in the directory dir, and
// exactly whether ** is not needed for that.
func (p pattern) enters(dir string) (ok, exactly bool) {
	if p.hides(dir) {
		return false, false
	}
	if p.steps == nil {
		return true, false
	}
	i := 0
	for step := range strings.SplitSeq(dir, "/") {
		switch {
		case p.steps[i] == "**":
			return true, false
		case i == len(p.steps)-1 || !doublestar.MatchUnvalidated(p.steps[i], step):
			return false, false
		}
		i++
	}
	return true, true
}
