package cli_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"shardload/internal/cli"
	"shardload/internal/localpg"
	"shardload/internal/pgtest"
)

// TestMain is the command itself where the test binary is called by its name, as
// the scripts do.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "shardload" {
		os.Exit(run())
	}
	pgtest.Main(m)
}

// run is main of cmd/shardload.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	return cli.Main(ctx, cli.Env{Args: os.Args[1:], Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Getenv: os.Getenv})
}

// TestScript runs the sessions in testdata/script. Beside testscript's own commands
// they have:
//
//	server postgres|citus   a new, empty place on a real server; sets DATABASE_URL and
//	                        $DSN to it, and $NOPASS_DSN to the same without password
//	sql QUERY               runs psql there; its output is in stdout
//	status N COMMAND…       runs COMMAND and asserts its exit status
//	document N NAME COMMAND…  runs COMMAND with --json, and asserts its exit status, and that
//	                        it prints one document, which is the answer NAME of the schema
//	events FILE             asserts that each line is one of --progress json
//	web DIR                 serves DIR at $WEB; what is in private wants a header
//	s3 DIR                  serves DIR as the bucket data of a store that speaks S3
//
// The condition [citus] holds where the extension is installed, [root] for root.
func TestScript(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "shardload")); err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("..", "..", "testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", bin+string(filepath.ListSeparator)+env.Getenv("PATH"))
			env.Setenv("SHARDLOAD_PG_BIN", os.Getenv("SHARDLOAD_PG_BIN"))
			statements, err := filepath.Abs("../../testdata/tutorial/statements.sql")
			if err != nil {
				return err
			}
			env.Setenv("STATEMENTS", statements)
			// Nothing listens there: a script without a server must not find one.
			env.Setenv("PGHOST", "127.0.0.1")
			env.Setenv("PGPORT", "1")
			env.Setenv("PGUSER", "nobody")
			env.Values["test"] = env.T()
			return makeRoom(env)
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "citus":
				return localpg.HasCitus(), nil
			case "root":
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"server": serverCommand,
			"sql":    sqlCommand,
			"status": statusCommand,

			"document": documentCommand,
			"events":   eventsCommand,
			"web":      webCommand,
			"s3":       s3Command,
			"put":      putCommand,
		},
	})
}

// makeRoom gives the script directories for private servers: TMPDIR and $STATE. Its
// own are closed to other users, and servers that root starts run as one.
func makeRoom(env *testscript.Env) error {
	room, err := os.MkdirTemp("", "shardload-script-")
	if err != nil {
		return err
	}
	env.Defer(func() { os.RemoveAll(room) })
	tmp := filepath.Join(room, "tmp")
	env.Setenv("TMPDIR", tmp)
	env.Setenv("STATE", filepath.Join(room, "state"))
	return errors.Join(os.Chmod(room, 0o755), os.Mkdir(tmp, 0o755))
}

func serverCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: server postgres|citus")
	}
	tb, ok := ts.Value("test").(testing.TB)
	if !ok {
		ts.Fatalf("testscript's T is no longer a testing.TB")
	}
	var dsn string
	switch args[0] {
	case "postgres":
		dsn = pgtest.Plain(tb)
	case "citus":
		dsn = pgtest.Citus(tb)
	default:
		ts.Fatalf("server %s: want postgres or citus", args[0])
	}
	ts.Setenv("DSN", dsn)
	ts.Setenv("DATABASE_URL", dsn)
	u, err := url.Parse(dsn)
	ts.Check(err)
	query := u.Query()
	query.Del("password")
	query.Del("passfile")
	u.RawQuery = query.Encode()
	ts.Setenv("NOPASS_DSN", u.String())
}

func sqlCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: sql QUERY")
	}
	if err := ts.Exec("psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", args[0], ts.Getenv("DSN")); err != nil {
		ts.Fatalf("psql: %v", err)
	}
}

func statusCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: status N COMMAND…")
	}
	got := "0"
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit status %s, want %s", got, args[0])
	}
}

func documentCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: document N NAME COMMAND…")
	}
	statusCommand(ts, false, append([]string{args[0], args[2], "--json"}, args[3:]...))
	ts.Check(cli.CheckDocument(args[1], []byte(ts.ReadFile("stdout"))))
}

func eventsCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: events stderr")
	}
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		ts.Check(cli.CheckDocument("progress", []byte(line)))
	}
}

// TestEveryAnswerIsSeen holds that a script sees each answer of the schema.
func TestEveryAnswerIsSeen(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			if words := strings.Fields(line); len(words) > 2 && words[0] == "document" {
				seen[words[2]] = true
			}
		}
	}
	for _, name := range cli.AnswerNames() {
		if !seen[name] {
			t.Errorf("no script has: document N %s shardload …", name)
		}
	}
}
