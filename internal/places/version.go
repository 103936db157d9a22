package places

import (
	"fmt"
	"strconv"
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

// tag returns what tells the version from others, "" if nothing does.
func (v version) tag() string {
	if v.etag == "" && !v.modified.IsZero() {
		return modifiedTag + strconv.FormatInt(v.modified.Unix(), 10)
	}
	return v.etag
}

// modifiedTag is what the tag of an object without an ETag begins with: no ETag does.
const modifiedTag = "modified "

// versionTagged returns the version of a size and a tag.
func versionTagged(size int64, tag string) version {
	if text, ok := strings.CutPrefix(tag, modifiedTag); ok {
		if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
			return version{size: size, modified: time.Unix(seconds, 0)}
		}
	}
	return version{size: size, etag: tag}
}

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
