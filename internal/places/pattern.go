package places

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// meta are the characters that make a name a pattern.
const meta = "*?[{"

// IsPattern reports whether a name has characters that make it a pattern: a backslash before one
// takes its meaning.
func IsPattern(name string) bool {
	for i := 0; i < len(name); i++ {
		switch {
		case name[i] == '\\':
			i++
		case strings.IndexByte(meta, name[i]) >= 0:
			return true
		}
	}
	return false
}

// plainName returns a name that is no pattern, without the backslashes that make it none.
func plainName(name string) string {
	for _, c := range meta + `]}\` {
		name = strings.ReplaceAll(name, `\`+string(c), string(c))
	}
	return name
}

// Escape returns the name that means a file or an object of exactly that name.
func Escape(name string) string {
	if !IsURL(name) {
		if _, err := os.Stat(name); err == nil {
			return name
		}
	} else if _, key, ok := splitS3(name); !ok || !strings.EqualFold(name[:2], "s3") || !strings.ContainsAny(key, meta+`]}\`) {
		return name
	}
	var b strings.Builder
	for i := range len(name) {
		if strings.IndexByte(meta+`]}\`, name[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

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

// bookkeeping is what leftBehind finds.
const bookkeeping = "kept by the program that wrote the others, and no part"

// leftBehind reports whether name is, or lies below, what Spark and its like leave beside the files
// that they write, unless the pattern names it. The table of Delta Lake in a directory is an
// error: which of its files count does not stand in their names.
func (p pattern) leftBehind(name string) (bool, error) {
	if !strings.Contains(name, "_") || len(p.steps) > 0 && strings.HasPrefix(p.steps[len(p.steps)-1], "_") {
		return false, nil
	}
	for step := range strings.SplitSeq(name, "/") {
		switch {
		case step == "_delta_log" && p.whole == everything.whole:
			return false, errors.New("belongs to a table of Delta Lake, of which some files hold rows that were deleted or replaced; export it, or name the files that count")
		case step == "_SUCCESS", step == "_temporary", step == "_metadata", step == "_common_metadata", step == "_delta_log",
			strings.HasPrefix(step, "_committed_"), strings.HasPrefix(step, "_started_"):
			return true, nil
		}
	}
	return false, nil
}
