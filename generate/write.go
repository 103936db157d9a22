package generate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Write writes companies.csv, campaigns.csv, ads.csv, or what else out asks for, and
// last the manifest into dir, which it makes if it has to. The bytes do not depend
// on the number of goroutines, and memory is two blocks for each of them, whatever
// the size.
//
// A file appears whole or not at all, and the manifest only when all are there; one
// that stood in dir is removed first, so that no manifest is ever beside files that
// it does not describe. If dir has files of another dataset, Write does nothing. If ctx ends, Write does so within a
// block, with its error. Called again for the same dataset, it keeps the files that
// are finished, by what a journal beside them says of their bytes, and removes the
// unfinished ones of a run that was killed. A file that is not the dataset's, or no
// longer, is never replaced.
func (d *Dataset) Write(ctx context.Context, dir string, out Output) (Manifest, error) {
	out = out.withDefaults()
	w := &writing{d: d, dir: dir, out: out, progress: out.Progress}
	if w.progress == nil {
		w.progress = new(Progress)
	}
	if err := w.plan(); err != nil {
		return Manifest{}, err
	}
	if err := ctx.Err(); err != nil {
		return Manifest{}, context.Cause(ctx)
	}
	if err := w.begin(); err != nil {
		return Manifest{}, err
	}
	m, err := w.write(ctx)
	if closing := w.journal.close(); err == nil && closing != nil {
		err = fileError(w.journal.path, closing)
	}
	if err != nil {
		return Manifest{}, err
	}
	return m, w.end(m)
}

// A writing is one call of Write.
type writing struct {
	d         *Dataset
	dir       string
	out       Output
	progress  *Progress
	divisions []division
	head      Manifest
	journal   *journal
}

// plan says what there is to write, or what is wrong with that.
func (w *writing) plan() error {
	if err := w.out.validate(); err != nil {
		return err
	}
	if w.out.Format == Parquet && w.d.flaws.any() {
		return errNoDamage
	}
	tables, err := w.d.kindsOf(w.out)
	if err != nil {
		return err
	}
	rows := int64(0)
	for _, k := range tables {
		v, err := w.d.divide(k, w.out)
		if err != nil {
			return err
		}
		w.divisions = append(w.divisions, v)
		rows += v.part.Rows()
	}
	w.progress.Total.Store(rows)
	w.head = w.d.manifest(w.out)
	return nil
}

// begin makes the directory ready, with a journal and without a manifest.
func (w *writing) begin() error {
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return fileError(w.dir, err)
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		return fileError(w.dir, err)
	}
	if err := w.checkManifests(entries); err != nil {
		return err
	}
	for _, v := range w.divisions {
		if name := v.stranger(entries); name != "" {
			return fmt.Errorf("write %s: it holds %s, which is no part of this dataset but would be loaded with it: "+
				"remove it, or write to another folder", w.dir, name)
		}
	}
	if w.journal, err = openJournal(w.dir, w.head, entries, w.makes); err != nil {
		return err
	}
	manifest := filepath.Join(w.dir, w.head.name())
	if err := os.Remove(manifest); err != nil && !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fileError(manifest, err), w.journal.close())
	}
	if err := removeLeftovers(w.dir, entries, w.makes); err != nil {
		return errors.Join(err, w.journal.close())
	}
	return nil
}

// makes reports whether a file of that name is one that w makes.
func (w *writing) makes(name string) bool {
	if name == w.head.name() || name == w.head.journalName() {
		return true
	}
	return slices.ContainsFunc(w.divisions, func(v division) bool {
		table, isList := strings.CutSuffix(name, listSuffix)
		return v.has(name) || isList && v.has(table+v.suffix)
	})
}

// checkManifests complains of manifests in the directory, and of journals in their
// stead, that are of another dataset or in other parts: the files of both would be
// read together, or one would take the place of the other.
func (w *writing) checkManifests(entries []os.DirEntry) error {
	for _, e := range entries {
		path := filepath.Join(w.dir, e.Name())
		var m Manifest
		var err error
		switch {
		case isManifestName(e.Name()):
			m, err = readManifest(path)
		case isJournalName(e.Name()):
			m, err = readJournal(path)
		default:
			continue
		}
		const advice = "remove it and its files, or write to another folder"
		if errors.Is(err, os.ErrNotExist) {
			continue // another part is finished just now
		}
		if err != nil {
			return fmt.Errorf("%w: %s", err, advice)
		}
		if other := m.differences(w.head); other != "" {
			return fmt.Errorf("write %s: %s is of a dataset with other settings (%s): give the same ones to go on with it, %s",
				w.dir, e.Name(), other, advice)
		}
	}
	return nil
}

// write writes all files that are not there.
func (w *writing) write(ctx context.Context) (Manifest, error) {
	m := w.head
	m.Files = w.journal.others(w.divisions)
	for _, v := range w.divisions {
		for i := range v.files {
			f, err := w.file(ctx, v, i)
			if err != nil {
				return m, err
			}
			m.Files = append(m.Files, f)
		}
	}
	m.sort()
	return m, nil
}

// file writes a file, or keeps it.
func (w *writing) file(ctx context.Context, v division, i int64) (File, error) {
	name, t := v.file(i)
	f, err := w.journal.kept(ctx, name, w.out)
	if err != nil {
		return f, err
	}
	if f.Name != "" {
		w.progress.Kept.Add(f.Rows)
		return f, nil
	}
	if err := w.journal.begin(name, listName(name, v.suffix)); err != nil {
		return f, err
	}
	if f, err = t.write(ctx, w.dir, name, w.out); err != nil {
		return f, err
	}
	return f, w.journal.add(f)
}

// end puts the manifest in the journal's place.
func (w *writing) end(m Manifest) error {
	if err := m.write(w.dir); err != nil {
		return err
	}
	if err := os.Remove(w.journal.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fileError(w.journal.path, err)
	}
	return nil
}

// listSuffix ends the name of the list of a file's damaged records.
const listSuffix = ".dirty.jsonl"

// listName returns the name of the list of a file, whose name ends in that suffix.
func listName(name, suffix string) string { return strings.TrimSuffix(name, suffix) + listSuffix }

// write writes the table to a file of that name in dir, and beside it the list of
// damaged records, if there can be any.
func (t *Table) write(ctx context.Context, dir, name string, out Output) (f File, err error) {
	path := filepath.Join(dir, name)
	fill := func(list io.Writer) error {
		return writeFile(path, func(w io.Writer) error {
			f, err = t.stream(ctx, w, list, out)
			return err
		})
	}
	if !t.d.flaws.any() {
		err = fill(nil)
		f.Name = name
		return f, err
	}
	list := listName(name, out.suffix())
	err = writeFile(filepath.Join(dir, list), func(w io.Writer) error {
		b := bufio.NewWriter(w)
		if err := fill(b); err != nil {
			return err
		}
		return b.Flush()
	})
	f.Name = name
	if err == nil {
		f.Dirty.List = list
	}
	return f, err
}
