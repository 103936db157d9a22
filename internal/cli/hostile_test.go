package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"shardload/internal/cli"
	"shardload/internal/pgtest"
)

// evil moves the cursor, sets the title, turns the text around, and begins a line that
// looks like one of ours.
const evil = "e\x1b[2J\x1b]0;x\a\r\u009b\u202e\u2028\x7f\nshardload: FORGED"

// Nothing that comes from data reaches people as it is: control characters in every
// input, through every verb that shows it.
func TestHostileText(t *testing.T) {
	t.Parallel()
	dsn := pgtest.Plain(t)
	dir := t.TempDir()
	table := pgx.Identifier{evil}.Sanitize()
	column := pgx.Identifier{"k" + evil}.Sanitize()
	execute(t, dsn,
		"CREATE TABLE "+table+" ("+column+" integer PRIMARY KEY, n integer CHECK (n < 1000), s text)",
		"CREATE TABLE told (s text)",
		`CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			RAISE NOTICE 'told %', NEW.s; RAISE WARNING 'told %', NEW.s;
			RAISE EXCEPTION 'no %', NEW.s USING DETAIL = 'detail ' || NEW.s, HINT = 'hint ' || NEW.s; END $$`,
		"CREATE TRIGGER t BEFORE INSERT ON told FOR EACH ROW EXECUTE FUNCTION tell()",
		"CREATE TABLE companies (x integer)",
	)
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	quoted := `"` + evil + `"`
	good := write(evil+".csv", `"k`+evil+"\",n,s\n1,1,"+quoted+"\n2,2,x\n")
	other := write("other.csv", "1,1,"+quoted+"\n2,3,x\n4,4,y\n")
	bad := write("bad"+evil, "3,"+quoted+",x\n")
	again := write("again"+evil, "1,1,x\n5,2000,"+quoted+"\n")
	strange := write("strange.csv", `n,"no`+evil+"\",s\n1,2,3\n")
	told := write("told.csv", quoted+"\n")
	broken := write("broken"+evil+".csv.gz", "\x1f\x8bnot gzip at all")
	hostIn := func(query string) string { return "postgres:///?host=127.0.0.1&connect_timeout=2&" + query }
	encoded := strings.NewReplacer("%", "%25", "\x1b", "%1B", "\n", "%0A", "\r", "%0D", "\a", "%07", "\x7f", "%7F", " ", "%20", "[", "%5B", "]", "%5D", ";", "%3B", ":", "%3A").Replace(evil)

	load := func(args ...string) []string {
		return append([]string{"load", "--rejects", filepath.Join(dir, "out"+evil)}, args...)
	}
	for _, c := range []struct {
		name string
		args []string
		want int
	}{
		{"explain", load("--table", table, "--explain", good), 0},
		{"load", load("--table", table, good), 0},
		{"load again", load("--table", table, good), 0},
		{"verify", []string{"verify", "--deep", "--table", table, other}, 4},
		{"verify counts", []string{"verify", "--table", table, other}, 4},
		{"bad value", load("--table", table, bad), 1},
		{"rejects", load("--table", table, "--header", "no", "--max-errors", "9", "--job", "job"+evil, bad), 3},
		{"keys", load("--table", table, "--header", "no", "--max-errors", "9", again), 3},
		{"one key", load("--table", table, "--job", "one", again), 1},
		{"conflicts", load("--table", table, "--on-conflict", "skip", "--conflict-key", "no"+evil, again), 1},
		{"update", load("--table", table, "--on-conflict", "update", "--job", evil, other), 0},
		{"strange header", load("--table", table, "--header", "yes", strange), 1},
		{"trigger", load("--table", "told", told), 1},
		{"trigger rejects", load("--table", "told", "--header", "no", "--max-errors", "1", told), 3},
		{"broken gzip", load("--table", table, broken), 1},
		{"no such file", load("--table", table, evil), 1},
		{"no such table", load("--table", `"no`+evil+`"`, good), 1},
		{"no name of a table", load("--table", "no"+evil, good), 1},
		{"status", []string{"status"}, 0},
		{"forget none", []string{"forget", "no" + evil}, 1},
		{"forget", []string{"forget", good}, 0},
		{"schema status", []string{"schema", "status"}, 0},
		{"schema create", []string{"schema", "create"}, 1},
		{"tune", []string{"tune", "--table", table, "--rounds", "1", "--sample", "1", "no" + evil}, 2},
		{"compare", []string{"bench", "compare", evil, evil}, 1},
		{"cluster", []string{"cluster", "status", "--dir", filepath.Join(dir, evil)}, 1},
		{"generate", []string{"generate", "--ads", "1", "--out", filepath.Join(dir, "gen"+evil)}, 0},
		{"load directory", load(filepath.Join(dir, "gen"+evil)), 1},
		{"command", []string{evil}, 2},
		{"help", []string{"help", evil}, 2},
		{"flag", []string{"load", "--" + evil}, 2},
		{"route", []string{"load", "--route", evil}, 2},
		{"number", []string{"load", "--streams", evil}, 2},
		{"limit", []string{"load", "--max-errors", evil}, 2},
		{"size", []string{"generate", "--size", evil}, 2},
		{"delimiter", []string{"load", "--delimiter", evil}, 2},
		{"encoding", load("--table", table, "--encoding", evil, other), 1},
		{"null", load("--table", table, "--null", evil, other), 2},
		{"map", load("--table", table, "--node-map", evil+"="+evil, "--route", "shard", other), 1},
		{"dsn", []string{"status", "--dsn", evil}, 1},
		{"host", []string{"status", "--dsn", "host='" + evil + "'"}, 1},
		{"host in a URL", []string{"status", "--dsn", "postgres://" + encoded + "/x"}, 1},
		{"user", []string{"status", "--dsn", dsn + "&user=" + encoded}, 1},
		{"database", []string{"status", "--dsn", dsn + "&database=" + encoded}, 1},
		{"sslmode", []string{"status", "--dsn", hostIn("sslmode=" + encoded)}, 1},
		{"certificate", []string{"status", "--dsn", hostIn("sslmode=verify-full&sslrootcert=" + encoded)}, 1},
		{"parameter", []string{"status", "--dsn", dsn + "&application_name=" + encoded + "&DateStyle=" + encoded}, 1},
		{"service", []string{"status", "--dsn", hostIn("service=" + encoded)}, 1},
		{"metrics", load("--table", table, "--metrics", evil, other), 1},
	} {
		for _, extra := range [][]string{nil, {"--json"}} {
			var stdout, stderr bytes.Buffer
			status := cli.Main(t.Context(), cli.Env{
				Args: append(c.args, extra...), Stdin: strings.NewReader(""), Stdout: &stdout, Stderr: &stderr,
				Getenv: func(name string) string {
					if name == "DATABASE_URL" {
						return dsn
					}
					return ""
				},
			})
			if extra == nil && status != c.want {
				t.Errorf("%s: exit status %d, want %d\n%s%s", c.name, status, c.want, stdout.String(), stderr.String())
			}
			for what, text := range map[string]string{"stdout": stdout.String(), "stderr": stderr.String()} {
				if err := harmless(text); err != nil {
					t.Errorf("%s %v: %s: %v:\n%q", c.name, extra, what, err, text)
				}
			}
		}
	}
}

// The environment is an input, too.
func TestHostileEnvironment(t *testing.T) {
	for _, url := range []string{evil, "postgres://" + evil, "host=" + evil, "service='" + evil + "'"} {
		var stderr bytes.Buffer
		status := cli.Main(t.Context(), cli.Env{
			Args: []string{"status"}, Stdin: strings.NewReader(""), Stdout: &stderr, Stderr: &stderr,
			Getenv: func(string) string { return url },
		})
		if err := harmless(stderr.String()); err != nil || status != 1 {
			t.Errorf("DATABASE_URL %q: exit status %d, %v:\n%q", url, status, err, stderr.String())
		}
	}
}

// harmless returns an error that says what in the text a terminal obeys, or which line
// is forged.
func harmless(text string) error {
	if !utf8.ValidString(text) {
		return fmt.Errorf("it is no UTF-8")
	}
	for _, r := range text {
		if r != '\n' && (r < ' ' || 0x7f <= r && r < 0xa0 || r == 0x2028 || r == 0x202e) {
			return fmt.Errorf("%U is in it", r)
		}
	}
	for line := range strings.SplitSeq(text, "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "shardload: FORGED") {
			return fmt.Errorf("a line is forged")
		}
	}
	return nil
}

func execute(t *testing.T, dsn string, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}
