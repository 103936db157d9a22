package loader

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"shardload/internal/input"
	"shardload/internal/ledger"
	"shardload/internal/places"
)

// Glob returns the set of the files and objects that patterns mean: of shell patterns, in which ** is any
// number of directories, of directories, which mean all files in and below them, of s3 prefixes, which end
// in a slash, and of single files and URLs, which are all of this machine or all URLs. What lies there is
// looked up when the set is loaded: each time it is, what is new is loaded. Files whose names begin with a
// dot are left out unless a pattern says the dot. A pattern that means nothing is an error. See
// docs/places.md.
//
// The job is known by what all patterns have in common before their first wildcard, a directory or a
// prefix, and a part by its name from there: where they are files of one directory, as Files knows them. A
// single pattern that is none, of a file or an object, is that input.
func Glob(patterns ...string) (Input, error) { return URLs(nil, patterns...) }

// URLs is Glob with a header that is sent to servers of http and https: see URL. Each URL of those is one
// part: servers have no lists.
func URLs(header http.Header, patterns ...string) (Input, error) {
	if len(patterns) == 0 {
		return Input{}, errors.New("nothing is named")
	}
	if len(patterns) == 1 {
		if one, ok := places.Single(patterns[0]); ok && places.IsURL(one) {
			return URL(one, header), nil
		} else if ok {
			return File(one), nil
		}
	}
	g := &globbed{patterns: slices.Clone(patterns), header: header}
	p, err := g.at(input.Access{})
	if err != nil {
		return Input{}, err
	}
	name := cmp.Or(p.Base(), "URLs")
	if !places.IsURL(patterns[0]) {
		name = filepath.Clean(name)
	}
	g.local = !places.IsURL(patterns[0])
	return Input{name: name, repeats: true, set: &partSet{
		named: []string{cmp.Or(p.Base(), name)}, base: p.Base(),
		list: g.list,
		open: func(name string) Input { return g.open(ledger.Part{Name: name, Size: -1}) },
		was:  g.open,
	}}, nil
}

// A globbed is what patterns mean.
type globbed struct {
	patterns []string
	header   http.Header
	local    bool // files of this machine

	mu     sync.Mutex
	places *places.Places // that all parts share: their connections, and what is read ahead
	access input.Access   // by which they were made
}

// at returns the places, to be read in that way.
func (g *globbed) at(access input.Access) (p *places.Places, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.places != nil && g.access == access {
		return g.places, nil
	}
	opt := places.Options{RetryFor: access.RetryFor, ReadAhead: access.ReadAhead, Log: access.Log, Header: g.header}
	if log := access.Log; log != nil {
		opt.Skipped = func(path, why string) { log.Info(fmt.Sprintf("%s is left out: %s", path, why)) }
	}
	if p, err = places.New(g.patterns, opt); err == nil {
		g.places, g.access = p, access
	}
	return p, err
}

// list returns the parts, in the order of their names.
func (g *globbed) list(ctx context.Context, access input.Access) ([]ledger.Part, error) {
	p, err := g.at(access)
	if err != nil {
		return nil, err
	}
	var parts []ledger.Part
	for part, err := range p.List(ctx) {
		if err != nil {
			return nil, err
		}
		if g.local {
			part.Tag = fileTag(part.Tag)
		}
		parts = append(parts, ledger.Part{Name: part.Name, Size: part.Size, Tag: part.Tag})
	}
	slices.SortFunc(parts, func(a, b ledger.Part) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(parts, func(a, b ledger.Part) bool { return a.Name == b.Name }), nil
}

// fileTag returns the tag of a file that was changed at that time, as places say it: that of Files.
func fileTag(modified string) string {
	ns, err := strconv.ParseInt(modified, 10, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatInt(ns, 36)
}

// open returns the input that a part is, which was listed by this process or by another one: one of that
// size and tag, unless they are not known.
func (g *globbed) open(p ledger.Part) Input {
	found, at, ok := g.find(p)
	switch {
	case !ok:
		return Input{name: p.Name, open: func(context.Context, input.Reading) (input.Feed, error) {
			return nil, fmt.Errorf("%s: is no part of what is loaded here", p.Name)
		}}
	case g.local:
		return Input{name: at.Name, path: at.Name, repeats: true, open: func(_ context.Context, how input.Reading) (input.Feed, error) {
			return input.OpenFeed(at.Name, how)
		}}
	}
	return Input{name: at.Name, repeats: true, open: func(ctx context.Context, how input.Reading) (input.Feed, error) {
		return found.Location().Feed(ctx, how)
	}}
}

// find returns a part and where it lies.
func (g *globbed) find(p ledger.Part) (part places.Part, at input.Location, ok bool) {
	g.mu.Lock()
	of := g.places
	g.mu.Unlock()
	if part, ok = of.Find(p.Name, p.Size, p.Tag); ok {
		at = part.Location()
	}
	return part, at, ok
}
