package cli

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"shardload/generate"
	"shardload/internal/input"
	"shardload/internal/places"
	"shardload/loader"
)

// checkPatterns finds out about names that mean nothing before anything is done: of files, and of what
// stands for any number of them.
func checkPatterns(cmd *cobra.Command, names []string) error {
	var plain []string
	for _, name := range names {
		if name == "-" || !isPlace(name) {
			plain = append(plain, name)
		}
	}
	if err := checkFiles(cmd, plain); err != nil || len(plain) == len(names) {
		return err
	}
	if slices.Contains(names, "-") {
		return usagef(cmd, "standard input (-) cannot be one of several inputs that a pattern or a directory means: load it alone")
	}
	if _, err := places.New(names, places.Options{}); err != nil {
		return usagef(cmd, "%s", err)
	}
	return nil
}

// isPlace reports whether a name may mean several inputs: a directory, a prefix or a pattern.
func isPlace(name string) bool {
	if name == "-" {
		return false
	}
	if places.IsURL(name) {
		_, single := places.Single(name)
		_, err := places.New([]string{name}, places.Options{})
		return !single && err == nil
	}
	info, err := os.Stat(name)
	return err == nil && info.IsDir() || err != nil && places.IsPattern(name)
}

// isSet reports whether the files are a set, of which each part is loaded once: those that can be read
// again, of this machine or at URLs, if they are several or nobody knows.
func (t tableInput) isSet() bool {
	if t.data != nil || len(t.Files) == 0 || len(t.Files) == 1 && !isPlace(t.Files[0]) {
		return false
	}
	for _, file := range t.Files {
		switch {
		case file == "-" || places.IsURL(file) != places.IsURL(t.Files[0]):
			return false
		case !places.IsURL(file) && !isPlace(file) && !areRegular([]string{file}):
			return false
		}
	}
	return true
}

// spread puts what patterns, directories and prefixes mean in their place.
func (t *tableInput) spread(ctx context.Context, opt places.Options) error {
	if t.data != nil || !slices.ContainsFunc(t.Files, isPlace) {
		return nil
	}
	var names []string
	seen := map[string]bool{}
	for _, file := range t.Files {
		if !isPlace(file) {
			names = append(names, file)
			continue
		}
		parts, err := t.partsOf(ctx, []string{file}, opt)
		if err != nil {
			return err
		}
		for _, at := range parts {
			if !seen[at.Name] {
				seen[at.Name] = true
				names = append(names, places.Escape(at.Name))
			}
		}
	}
	t.Files = names
	return nil
}

// partsOf returns where the parts lie that names mean, each once.
func (t tableInput) partsOf(ctx context.Context, names []string, opt places.Options) (list []input.Location, err error) {
	opt.Header = t.header
	p, err := places.New(names, opt)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for part, err := range p.List(ctx) {
		if err != nil {
			return nil, err
		}
		if !seen[part.Name] {
			seen[part.Name] = true
			list = append(list, part.Location())
		}
	}
	return list, nil
}

// located returns where the files lie, each part of a set that was looked up.
func (t tableInput) located(opt places.Options) (list []input.Location, err error) {
	if t.mixes {
		return t.parts, nil
	}
	for _, file := range t.Files {
		at, err := t.at(file, opt)
		if err != nil {
			return nil, err
		}
		list = append(list, at)
	}
	return list, nil
}

// readAs returns the format of one of the files.
func (t tableInput) readAs(at input.Location, flags loader.Config) loader.Format {
	if !t.mixes || t.alike(flags) {
		return t.as
	}
	return detectOne(at, flags.Compression).Format
}

// first returns where the first input lies that the files mean.
func (t tableInput) first(ctx context.Context, opt places.Options) (input.Location, error) {
	switch {
	case len(t.parts) > 0:
		return t.parts[0], nil
	case !isPlace(t.Files[0]):
		return t.at(t.Files[0], opt)
	}
	opt.Header = t.header
	p, err := places.New(t.Files[:1], opt)
	if err != nil {
		return input.Location{}, err
	}
	for part, err := range p.List(ctx) {
		if err != nil {
			return input.Location{}, err
		}
		return part.Location(), nil
	}
	return input.Location{}, nil // never: an empty place is an error
}

// formats returns how each part of a set is written, by what errors call it, nil if all are written alike.
func (t tableInput) formats(flags loader.Config, opt places.Options) func(name string) loader.Format {
	if t.alike(flags) {
		return nil
	}
	opt.Header = t.header
	of := sync.OnceValues(func() (*places.Places, error) { return places.New(t.Files, opt) })
	return func(name string) loader.Format {
		at := input.Path(name)
		if places.IsURL(t.Files[0]) {
			at.Open = func(ctx context.Context) (input.Object, error) {
				p, err := of()
				if err != nil {
					return nil, err
				}
				part, ok := p.Find(strings.TrimPrefix(name, p.Base()), -1, "")
				if !ok {
					return nil, os.ErrNotExist // which its load will say
				}
				return part.Location().Open(ctx)
			}
		}
		return detectOne(at, flags.Compression).Format
	}
}

// alike reports whether all files are in one format: the flags or the manifest say which.
func (t tableInput) alike(flags loader.Config) bool {
	asked := flags.Format
	return asked != formatAuto && asked != "" || t.data != nil || t.format != generate.CSV
}
