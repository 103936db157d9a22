package generate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	// ManifestName is the name of the manifest's file.
	ManifestName = "manifest.json"

	manifestVersion = 1
	law1            = 1
)

// A Manifest says what a folder with a dataset holds, and what it was made from.
type Manifest struct {
	Version   int     `json:"version"` // of the manifest's own form
	Law       int     `json:"law"`     // the same law and Config make the same bytes
	Seed      uint64  `json:"seed"`
	Skew      float64 `json:"skew"`
	Companies int64   `json:"companies"`
	Campaigns int64   `json:"campaigns"`
	Ads       int64   `json:"ads"`
	Format    Format  `json:"format"`
	Header    bool    `json:"header"` // whether each file begins with the columns' names
	Files     []File  `json:"files"`  // parents before children
}

// A File is one file of a dataset.
type File struct {
	Name   string `json:"name"` // within the folder
	Table  string `json:"table"`
	Rows   int64  `json:"rows"` // without the header
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"` // hexadecimal
}

func (d *Dataset) manifest(out Output) Manifest {
	return Manifest{
		Version:   manifestVersion,
		Law:       law1,
		Seed:      d.cfg.Seed,
		Skew:      d.cfg.Skew,
		Companies: d.cfg.Companies,
		Campaigns: d.cfg.Campaigns,
		Ads:       d.cfg.Ads,
		Format:    out.Format,
		Header:    out.header(),
	}
}

func (m Manifest) write(dir string) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", ManifestName, err)
	}
	return writeFile(filepath.Join(dir, ManifestName), func(w io.Writer) error {
		_, err := w.Write(append(text, '\n'))
		return err
	})
}

// ReadManifest reads the manifest of the dataset in dir. If there is none, the
// error is fs.ErrNotExist: the folder has no dataset, or not a whole one.
func ReadManifest(dir string) (Manifest, error) {
	var m Manifest
	name := filepath.Join(dir, ManifestName)
	text, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return m, fmt.Errorf("%s: no dataset is complete there: %w", dir, fs.ErrNotExist)
	}
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
		if f.Name == "" || f.Name != filepath.Base(f.Name) || !filepath.IsLocal(f.Name) {
			return fmt.Errorf("file %q: want the name of a file beside the manifest", f.Name)
		}
		if f.Table == "" || f.Rows < 0 || f.Bytes < 0 {
			return fmt.Errorf("file %q: want a table, and no negative rows or bytes", f.Name)
		}
	}
	return nil
}
