package places

import (
	"fmt"
	"strings"
	"time"
)

// A version is what is known of the content of an object at one time.
type version struct {
	size     int64 // -1 if it is not known
	etag     string
	modified time.Time // zero if it is not known
	// fresh says that it was changed so short a time ago that another change could have the
	// same time.
	fresh bool
}

// strong reports whether the ETag promises that not a byte is another.
func (v version) strong() bool { return v.etag != "" && !strings.HasPrefix(v.etag, "W/") }

// known reports whether a change could be seen.
func (v version) known() bool { return v.strong() || !v.modified.IsZero() }

// differs says in what way now is another version, "" if it is not.
func (v version) differs(now version) string {
	switch {
	case v.size >= 0 && now.size >= 0 && v.size != now.size:
		return fmt.Sprintf("it had %d bytes, and has %d now", v.size, now.size)
	case v.etag != "" && v.etag != now.etag:
		return fmt.Sprintf("its ETag was %s, and is %s now", quoted(v.etag), quoted(now.etag))
	case !v.modified.IsZero() && !v.modified.Equal(now.modified):
		return "it was modified"
	}
	return ""
}

func quoted(etag string) string {
	if etag == "" {
		return "missing"
	}
	return etag
}

// A ChangedError says that an object is another one than it was: while it was read, or since it
// was listed.
type ChangedError struct{ How string }

func (e *ChangedError) Error() string {
	return "was changed while it was read or waited to be read: " + e.How + "; load it again when it is complete"
}
