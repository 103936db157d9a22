package generate

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"shardload/internal/regular"
	"shardload/schema"
)

const (
	// ManifestName is the name of the manifest's file.
	ManifestName = "manifest.json"

	manifestVersion = 1
	law1            = 1
)

// A Manifest says what a folder with a dataset holds, and what it was made from.
type Manifest struct {
	Version     int         `json:"version"` // of the manifest's own form
	Law         int         `json:"law"`     // the same law and Config make the same bytes
	Seed        uint64      `json:"seed"`
	Skew        float64     `json:"skew"`
	Companies   int64       `json:"companies"`
	Campaigns   int64       `json:"campaigns"`
	Ads         int64       `json:"ads"`
	Dirty       float64     `json:"dirty,omitempty"`
	Format      Format      `json:"format"`
	Header      bool        `json:"header"` // whether each file begins with the columns' names
	Compression Compression `json:"compression,omitempty"`
	Split       int64       `json:"split,omitempty"` // as asked for, in bytes
	Part        int         `json:"part,omitempty"`  // of Parts; both are 0 for the whole
	Parts       int         `json:"parts,omitempty"`
	Files       []File      `json:"files"` // parents before children
}

// A File is one file of a dataset.
type File struct {
	Name      string     `json:"name"` // within the folder
	Table     string     `json:"table"`
	Rows      int64      `json:"rows"` // without the header
	Bytes     int64      `json:"bytes"`
	Unpacked  int64      `json:"unpacked_bytes,omitempty"` // of a compressed file
	CRC32C    string     `json:"crc32c"`                   // of its bytes, hexadecimal, like SHA256
	SHA256    string     `json:"sha256,omitempty"`
	Checksums *Checksums `json:"checksums,omitempty"` // of the rows that a server stores
	Dirty     *Dirty     `json:"dirty,omitempty"`
}

// Dirty says which records of a file are damaged.
type Dirty struct {
	List    string           `json:"list"` // the file of all DamagedRecords, one a line
	Bytes   int64            `json:"bytes"`
	Records map[Damage]int64 `json:"records"`
}

// A DamagedRecord is a line of the list that Dirty names.
type DamagedRecord struct {
	Line   int64  `json:"line"` // of the file, from 1, the header's included
	Damage Damage `json:"damage"`
	Column string `json:"column"`
}

// Stored returns how many rows a server with the dataset's tables stores of the
// file: all but those that are damaged and not just orphans.
func (f File) Stored() int64 {
	rows := f.Rows
	if f.Dirty != nil {
		for damage, n := range f.Dirty.Records {
			if damage.Refused() {
				rows -= n
			}
		}
	}
	return rows
}

func (d *Dataset) manifest(out Output) Manifest {
	return Manifest{
		Version:     manifestVersion,
		Law:         law1,
		Seed:        d.cfg.Seed,
		Skew:        d.cfg.Skew,
		Companies:   d.cfg.Companies,
		Campaigns:   d.cfg.Campaigns,
		Ads:         d.cfg.Ads,
		Dirty:       d.cfg.Dirty,
		Format:      out.Format,
		Header:      out.header(),
		Compression: out.Compression,
		Split:       out.Split,
		Part:        out.Part,
		Parts:       out.Parts,
	}
}

// name returns the name of the manifest's file. Each part has its own.
func (m Manifest) name() string { return "manifest" + m.partName() + ".json" }

// journalName returns the name of the journal that stands for the manifest until
// the dataset is finished.
func (m Manifest) journalName() string { return "manifest" + m.partName() + ".unfinished.jsonl" }

func (m Manifest) partName() string {
	if m.Parts == 0 {
		return ""
	}
	return fmt.Sprintf(".%0*d-of-%d", len(strconv.Itoa(m.Parts)), m.Part, m.Parts)
}

// sort puts the files in order: parents before children, and then by number.
func (m Manifest) sort() {
	order := func(f File) int {
		return slices.IndexFunc(schema.Tables(), func(t *schema.Table) bool { return t.Name == f.Table })
	}
	slices.SortFunc(m.Files, func(a, b File) int { return cmp.Or(order(a)-order(b), strings.Compare(a.Name, b.Name)) })
}

func (m Manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", m.name(), err)
	}
	return writeFile(filepath.Join(dir, m.name()), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// ReadManifest reads the manifest of the dataset in dir; the manifests of parts,
// if there are any, are put together. If there is none, the error is
// fs.ErrNotExist: the folder has no dataset, or not a whole one.
func ReadManifest(dir string) (Manifest, error) {
	whole := filepath.Join(dir, ManifestName)
	m, err := readManifest(whole)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return Manifest{}, err
	}
	found := false
	for _, e := range entries {
		if !isManifestName(e.Name()) {
			continue
		}
		part, err := readManifest(filepath.Join(dir, e.Name()))
		if err != nil {
			return Manifest{}, err
		}
		if !found {
			m, found = part, true
		} else if err := m.join(part); err != nil {
			return Manifest{}, fmt.Errorf("%s: %w", filepath.Join(dir, e.Name()), err)
		}
	}
	if !found {
		return Manifest{}, fmt.Errorf("%s: no dataset is complete there: %w", dir, fs.ErrNotExist)
	}
	m.sort()
	return m, nil
}

// join adds the files of another part of the same dataset.
func (m *Manifest) join(part Manifest) error {
	if other := part.differences(*m); other != "" {
		return fmt.Errorf("it is of a dataset with other settings than the manifests beside it (%s): keep each dataset in its own folder", other)
	}
	m.Part = 0
	m.Files = append(m.Files, part.Files...)
	return nil
}

// differences says in what m is of another dataset than the one that is wanted, or
// of the same one in other parts. It returns "" if it is not.
func (m Manifest) differences(wanted Manifest) string {
	m.Files, wanted.Files = nil, nil
	m.Part, wanted.Part = 0, 0
	is, want := reflect.ValueOf(m), reflect.ValueOf(wanted)
	var list []string
	for i := range is.NumField() {
		if a, b := is.Field(i).Interface(), want.Field(i).Interface(); !reflect.DeepEqual(a, b) {
			name, _, _ := strings.Cut(is.Type().Field(i).Tag.Get("json"), ",")
			list = append(list, fmt.Sprintf("%s %v, not %v", name, quoted(a), quoted(b)))
		}
	}
	return strings.Join(list, "; ")
}

// quoted puts a word that may be empty into quotes.
func quoted(setting any) any {
	if word, ok := setting.(Compression); ok {
		return strconv.Quote(string(word))
	}
	return setting
}

var manifestName = regexp.MustCompile(`^manifest(?:\.[0-9]+-of-[0-9]+)?\.(?:json|unfinished\.jsonl)$`)

// isManifestName reports whether a file of that name is a manifest, of the whole or
// of a part.
func isManifestName(name string) bool {
	return manifestName.MatchString(name) && !isJournalName(name)
}

// isJournalName reports whether a file of that name stands for a manifest until the
// dataset is finished.
func isJournalName(name string) bool {
	return manifestName.MatchString(name) && strings.HasSuffix(name, ".jsonl")
}

// readManifest reads the manifest of that path.
func readManifest(name string) (Manifest, error) {
	var m Manifest
	text, err := regular.ReadFile(name)
	if err != nil {
		return m, err
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", name, err)
	}
	if err := m.validate(); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", name, err)
	}
	return m, nil
}

func (m Manifest) validate() error {
	if m.Version != manifestVersion {
		return fmt.Errorf("version %d of its form: this program reads version %d", m.Version, manifestVersion)
	}
	for _, f := range m.Files {
		if !isName(f.Name) {
			return fmt.Errorf("file %q: want the name of a file beside the manifest", f.Name)
		}
		if f.Dirty != nil && !isName(f.Dirty.List) {
			return fmt.Errorf("file %q: want the name of a file beside the manifest", f.Dirty.List)
		}
		if f.Table == "" || f.Rows < 0 || f.Bytes < 0 {
			return fmt.Errorf("file %q: want a table, and no negative rows or bytes", f.Name)
		}
	}
	return nil
}

// isName reports whether name is the name of a file in the manifest's own folder.
func isName(name string) bool {
	return name != "" && name == filepath.Base(name) && filepath.IsLocal(name)
}
