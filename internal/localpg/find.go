package localpg

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// BinDirEnv names the environment variable that says which PostgreSQL to run: the
// directory of its programs.
const BinDirEnv = "SHARDLOAD_PG_BIN"

// ErrNotInstalled is returned where no PostgreSQL server is installed.
var ErrNotInstalled = errors.New("postgresql: no server found on this machine: install one" +
	" (Debian, Ubuntu: apt-get install postgresql; macOS: brew install postgresql@17)" +
	" or name the directory of its programs in " + BinDirEnv)

// An Installation is a PostgreSQL server as it is installed on this machine.
type Installation struct {
	BinDir   string // holds postgres and initdb
	ShareDir string // holds extension/*.control; empty if it was not found
}

// Find returns the PostgreSQL that this package runs: the one named by
// SHARDLOAD_PG_BIN, else pg_config's, else the one on the PATH, else the newest in
// the places where Debian, Red Hat and Homebrew put theirs. It returns
// ErrNotInstalled if there is none.
func Find() (Installation, error) {
	if dir := os.Getenv(BinDirEnv); dir != "" {
		if !hasServer(dir) {
			return Installation{}, errors.New(BinDirEnv + ": " + dir + " does not hold the programs postgres and initdb")
		}
		return installationAt(dir), nil
	}
	for _, dir := range candidates() {
		if hasServer(dir) {
			return installationAt(dir), nil
		}
	}
	return Installation{}, ErrNotInstalled
}

// HasCitus reports whether the Citus extension is installed beside the server
// that Find finds.
func HasCitus() bool {
	inst, err := Find()
	return err == nil && inst.HasCitus()
}

// HasCitus reports whether the Citus extension is installed beside this server.
func (i Installation) HasCitus() bool {
	if i.ShareDir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(i.ShareDir, "extension", "citus.control"))
	return err == nil
}

func (i Installation) program(name string) string { return filepath.Join(i.BinDir, name) }

func installationAt(bin string) Installation {
	if abs, err := filepath.Abs(bin); err == nil {
		bin = abs // servers are started in other directories
	}
	return Installation{BinDir: bin, ShareDir: shareDir(bin)}
}

// candidates returns directories that may hold a server's programs, best first.
func candidates() []string {
	var dirs []string
	if dir, ok := pgConfig("pg_config", "--bindir"); ok {
		dirs = append(dirs, dir)
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real // its neighbours are where it really is
		}
		dirs = append(dirs, filepath.Dir(path))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin",
		"/usr/pgsql-*/bin",
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	} {
		found, _ := filepath.Glob(pattern) // the patterns are well formed
		slices.SortFunc(found, newestFirst)
		dirs = append(dirs, found...)
	}
	return dirs
}

// newestFirst orders paths by the version number in them, highest first.
func newestFirst(a, b string) int {
	return cmp.Or(cmp.Compare(versionIn(b), versionIn(a)), strings.Compare(a, b))
}

// versionIn returns the number in path, as 9.6 or 17; 0 if there is none.
func versionIn(path string) float64 {
	digits := strings.FieldsFunc(path, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	for _, d := range digits {
		if v, err := strconv.ParseFloat(d, 64); err == nil {
			return v
		}
	}
	return 0
}

func hasServer(dir string) bool {
	for _, name := range []string{"postgres", "initdb"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.IsDir() || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// shareDir returns the directory of the extensions' control files that belongs to
// the programs in bin. Only their own pg_config is asked: another one may speak of
// another version.
func shareDir(bin string) string {
	if dir, ok := pgConfig(filepath.Join(bin, "pg_config"), "--sharedir"); ok {
		return dir
	}
	root := filepath.Dir(bin)
	for _, dir := range []string{
		filepath.Join("/usr/share/postgresql", filepath.Base(root)), // Debian
		filepath.Join(root, "share", "postgresql"),
		filepath.Join(root, "share"), // Red Hat
	} {
		if _, err := os.Stat(filepath.Join(dir, "extension")); err == nil {
			return dir
		}
	}
	return ""
}

func pgConfig(program, option string) (string, bool) {
	out, err := exec.Command(program, option).Output()
	dir := strings.TrimSpace(string(out))
	return dir, err == nil && dir != ""
}
