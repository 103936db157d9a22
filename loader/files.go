package loader

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"shardload/internal/input"
	"shardload/internal/ledger"
)

// Files returns the set of the files at paths: each is loaded once, by whichever process of however
// many that load the same set. Its job is known by the directory that they have in common, and a file
// by its path from there: so all files of a directory are of one set, however they are named.
func Files(paths ...string) (Input, error) {
	resolved := make([]string, len(paths))
	for i, path := range paths {
		real, err := resolve(path)
		if err != nil {
			return Input{}, err
		}
		resolved[i] = real
	}
	base := commonDir(resolved)
	given := map[string]string{} // the paths as they were given, by their names
	for i, path := range resolved {
		name := strings.TrimPrefix(path, base)
		if other, twice := given[name]; twice {
			return Input{}, fmt.Errorf("%s and %s are one file", other, paths[i])
		}
		given[name] = paths[i]
	}
	names := slices.Sorted(func(yield func(string) bool) {
		for name := range given {
			if !yield(name) {
				return
			}
		}
	})
	return Input{name: filepath.Clean(base), repeats: true, set: &partSet{
		named: []string{base}, base: base,
		list: func(context.Context, input.Access) ([]ledger.Part, error) {
			parts := make([]ledger.Part, len(names))
			for i, name := range names {
				info, err := os.Stat(base + name)
				if err != nil {
					return nil, err
				}
				parts[i] = ledger.Part{Name: name, Size: info.Size(), Tag: ledger.Hints{Modified: info.ModTime().UnixNano()}.PartTag()}
			}
			return parts, nil
		},
		open: func(name string) Input {
			in := File(cmp.Or(given[name], base+name))
			return in
		},
	}}, nil
}

// WithFormats returns the set with parts that are written as of says of each by its name. One that of says
// nothing of is as Config.Format says.
func (in Input) WithFormats(of func(name string) Format) Input {
	if in.set != nil {
		set := *in.set
		set.format = of // nil for Config.Format
		in.set = &set
	}
	return in
}

// reads returns errOtherLayout if a part is written otherwise than l reads.
func reads(l *Loader, in Input) error {
	if in.format != "" && in.format != l.cfg.Format {
		return errOtherLayout
	}
	return nil
}

// loaderAs returns a Loader into the same table, by the same connections, for inputs of another format.
func loaderAs(l *Loader, f Format) (*Loader, error) {
	if f == "" || f == l.cfg.Format {
		return l, nil
	}
	other := &Loader{target: l.target, cfg: l.cfg, plan: l.plan, nodes: l.nodes, replacing: l.replacing, opening: l.opening, charset: l.charset, deferral: l.deferral}
	other.triggers.Drop.Store(l.triggers.Drop.Load())
	other.cfg.Format = f
	_, has := transcribed[f]
	_, had := transcribed[l.cfg.Format]
	if has || had { // which have none of these
		other.cfg.Delimiter, other.cfg.Quote, other.cfg.Escape, other.cfg.Null = 0, 0, 0, ""
	}
	if has {
		other.cfg.NoQuotes, other.cfg.ForceNull, other.cfg.ForceNotNull = false, nil, nil
		other.cfg.Header, other.cfg.Skip = HeaderAuto, 0
	}
	other.cfg = other.cfg.withDefaults()
	return other, other.cfg.validateFormat()
}

// resolve returns a path with all links resolved.
func resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	return filepath.EvalSymlinks(path)
}

// commonDir returns the directory that paths have in common, with a slash at its end.
func commonDir(paths []string) string {
	if len(paths) == 0 {
		return "/"
	}
	base := filepath.Dir(paths[0])
	for _, path := range paths[1:] {
		for base != "/" && !strings.HasPrefix(path, base+"/") {
			base = filepath.Dir(base)
		}
	}
	return strings.TrimSuffix(base, "/") + "/"
}
