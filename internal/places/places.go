package places

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"shardload/internal/input"
)

// Options say how places are read. The zero value is usable.
type Options struct {
	// RetryFor is how long a store may fail, without a byte between, before it is given up.
	// Zero or less means that it is not tried again.
	RetryFor time.Duration
	// ReadAhead is the memory, in bytes, for what is read ahead of all objects that are open
	// at once. Zero means that nothing is: an object is then read over one connection. Beside
	// it each open object takes up to 1 MiB.
	ReadAhead int64
	// Header is sent to http and https servers, and nowhere else: not where they redirect to
	// another host.
	Header http.Header
	// Log is told of failures that are waited for. Nil discards it.
	Log *slog.Logger
	// Skipped, if not nil, is told of what was found and is no part: its path, and why.
	Skipped func(path, why string)
	// Getenv is where settings come from: proxies, credentials, endpoints. Nil means
	// os.Getenv.
	Getenv func(string) string
	// Trust has further certificates in PEM that servers may show, nil for those that the
	// system trusts alone.
	Trust []byte
}

// A Part is one input of those that a command names.
type Part struct {
	// Name tells it from the others of its command, and is the same wherever that runs: it is
	// what follows Places.Base. It holds no secrets.
	Name string
	Size int64 // in bytes, as it is stored; -1 if it is not known
	// Tag is another one after a change: the time of the last one in nanoseconds since 1970, or
	// a store's ETag. It is "" if nothing is known.
	Tag string

	of place
}

// A place is one name of a command.
type place interface {
	// list calls yield with the parts in the order of their names, until that returns false.
	list(ctx context.Context, yield func(Part) bool) error
	// locate returns where the part of that name is. version is what is known of it.
	locate(name string, known version) (input.Location, bool)
	// root returns what the names of all parts would begin with if they were whole: the
	// directory, with its slash, or what a URL is called up to its last slash.
	root() string
	// under makes the names of parts begin after base, with which root begins.
	under(base string)
}

// Places are what a command names.
type Places struct {
	list []place
	env  *environment
	base string
	one  map[string]place // those that are of one part, by its name
}

// An environment is what all places of a command share.
type environment struct {
	Options
	web    *web
	s3     *stores
	budget *budget
}

// New returns the places that names name. Nothing is looked at yet but for names that exist as
// files, which are no patterns.
func New(names []string, opt Options) (*Places, error) {
	env, err := newEnvironment(opt)
	if err != nil {
		return nil, err
	}
	p := &Places{env: env}
	for _, name := range names {
		of, err := env.place(name)
		if err != nil {
			return nil, err
		}
		p.list = append(p.list, of)
	}
	if p.base, err = p.common(names); err != nil {
		return nil, err
	}
	p.one = map[string]place{}
	for _, of := range p.list {
		of.under(p.base)
		switch of := of.(type) {
		case *webPage:
			p.one[of.part] = of
		case *files:
			if of.plain != "" {
				p.one[of.prefix+of.plain] = of
			}
		}
	}
	return p, p.distinct()
}

// Base returns what all parts have in common: the directory, with a slash at its end and all links
// resolved, or what their URLs are called up to a slash. It holds no secrets.
func (p *Places) Base() string { return p.base }

// common returns the base of all names.
func (p *Places) common(names []string) (base string, err error) {
	for i, of := range p.list {
		root := of.root()
		if i == 0 {
			base = root
			continue
		}
		if IsURL(names[i]) != IsURL(names[0]) {
			return "", fmt.Errorf("%s lies in a store, and %s on this machine: load them one after the other", Identity(names[i]), Identity(names[0]))
		}
		for !strings.HasPrefix(root, base) {
			base = base[:strings.LastIndexByte(strings.TrimSuffix(base, "/"), '/')+1]
		}
	}
	return base, nil
}

// distinct refuses URLs that differ in what must not be kept alone: one of two parts of the same
// name would be taken for the other.
func (p *Places) distinct() error {
	urls := map[string]string{}
	for _, of := range p.list {
		page, ok := of.(*webPage)
		if !ok {
			continue
		}
		url := page.url.String()
		if other, twice := urls[page.name]; twice && other != url {
			return fmt.Errorf("%s: is named twice, by URLs that differ in what looks like a secret alone; load them one by one, each as a job of its own name", page.name)
		}
		urls[page.name] = url
	}
	return nil
}

func newEnvironment(opt Options) (*environment, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Skipped == nil {
		opt.Skipped = func(string, string) {}
	}
	if opt.Getenv == nil {
		opt.Getenv = os.Getenv
	}
	env := &environment{Options: opt, budget: newBudget(opt.ReadAhead)}
	var err error
	if env.web, err = newWeb(&env.Options); err != nil {
		return nil, err
	}
	env.s3 = newStores(env)
	return env, nil
}

// place returns what a name names.
func (env *environment) place(name string) (place, error) {
	switch scheme(name) {
	case "http", "https":
		return newPage(env, name)
	case "s3":
		return newBucket(env, name)
	}
	return newFiles(env, name)
}

// IsURL reports whether a name is of what lies in a store: it begins with https://, http:// or
// s3://.
func IsURL(name string) bool { return scheme(name) != "" }

// scheme returns how the store is asked that has what a name names, "" for files: one of them may
// be called s3.
func scheme(name string) string {
	scheme, _, ok := strings.Cut(name, "://")
	switch scheme = strings.ToLower(scheme); {
	case ok && (scheme == "http" || scheme == "https" || scheme == "s3"):
		return scheme
	}
	return ""
}

// List returns the parts of all names, one name after the other. The first error is the last
// thing that it returns: there may be parts that were not found then. A name without any part is
// an error. What two names mean comes twice.
func (p *Places) List(ctx context.Context) iter.Seq2[Part, error] {
	return func(yield func(Part, error) bool) {
		if err := p.lookUp(ctx); err != nil {
			yield(Part{}, err)
			return
		}
		for _, of := range p.list {
			more := true
			err := of.list(ctx, func(part Part) bool {
				part.of = of
				more = yield(part, nil)
				return more
			})
			if err != nil && more {
				yield(Part{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

// Find returns the part of that name, which another process may have listed, without looking for
// it. size and tag are those that it had. ok is false if these places have no such name.
func (p *Places) Find(name string, size int64, tag string) (part Part, ok bool) {
	if of, ok := p.one[name]; ok {
		return Part{Name: name, Size: size, Tag: tag, of: of}, true
	}
	for _, of := range p.list {
		part = Part{Name: name, Size: size, Tag: tag, of: of}
		if _, ok := of.locate(name, part.version()); ok {
			return part, true
		}
	}
	return Part{}, false
}

// Location returns where the part is, to be opened. An object that is not what Size and Tag say
// is a *ChangedError then.
func (p Part) Location() input.Location {
	at, _ := p.of.locate(p.Name, p.version())
	return at
}

// version returns what is known of the part.
func (p Part) version() version { return versionTagged(p.Size, p.Tag) }

// Single returns the name of the file or the object that a name means, where it means one certainly: it is
// no pattern, no directory and no prefix that ends in a slash.
func Single(name string) (plain string, ok bool) {
	of, err := (&environment{}).place(name)
	if err != nil {
		return "", false
	}
	switch of := of.(type) {
	case *webPage:
		return name, true
	case *bucket:
		return name, of.key != ""
	case *files:
		return of.said, of.plain != ""
	}
	return "", false
}

// Locate returns where the single object or file of that name is. A pattern is an error.
func Locate(name string, opt Options) (input.Location, error) {
	env, err := newEnvironment(opt)
	if err != nil {
		return input.Location{}, err
	}
	of, err := env.place(name)
	if err != nil {
		return input.Location{}, err
	}
	single, ok := of.(interface{ single() (input.Location, bool) })
	if ok {
		if at, ok := single.single(); ok {
			return at, nil
		}
	}
	return input.Location{}, fmt.Errorf("%s: names more than one object", Identity(name))
}
