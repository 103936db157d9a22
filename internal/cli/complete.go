package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"

	"shardload/internal/server"
)

// What the shell offers where a name is typed. Nothing is said of a server that is not there: a
// completion has nowhere to say it.

// completionTime is how long a shell waits for what a server knows.
const completionTime = 2 * time.Second

// A completer returns what may stand where toComplete is typed.
type completer = cobra.CompletionFunc

// completesList returns the completer of words with commas between them.
func completesList(words []string) completer {
	return func(_ *cobra.Command, _ []string, toComplete string) ([]cobra.Completion, cobra.ShellCompDirective) {
		done := ""
		if i := strings.LastIndexByte(toComplete, ','); i >= 0 {
			done = toComplete[:i+1]
		}
		var list []cobra.Completion
		for _, word := range words {
			if !slices.Contains(strings.Split(done, ","), word) {
				list = append(list, done+word)
			}
		}
		return list, cobra.ShellCompDirectiveNoFileComp
	}
}

// completes makes fn the completer of a flag of cmd.
func completes(cmd *cobra.Command, flag string, fn completer) {
	// The error is only for a flag that does not exist, and this one does.
	_ = cmd.RegisterFlagCompletionFunc(flag, fn)
}

// fromServer returns the completer of what ask finds on the user's server.
func (a *app) fromServer(ask func(context.Context, *pgx.Conn) ([]cobra.Completion, error)) completer {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		silent := &app{console: console{Env: a.Env, quiet: true}, dsn: a.dsn}
		cfg, err := silent.server()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		conn, err := server.Open(ctx, cfg)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		defer server.CloseSoon(conn.PgConn())
		list, err := ask(ctx, conn)
		if err != nil {
			list = nil
		}
		return slices.DeleteFunc(list, func(c cobra.Completion) bool {
			word, _, _ := strings.Cut(c, "\t")
			return slices.Contains(args, word)
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

// completeTables finds the tables that can be loaded: by their names alone where these are enough.
func completeTables(ctx context.Context, conn *pgx.Conn) ([]cobra.Completion, error) {
	rows, err := conn.Query(ctx, `SELECT CASE WHEN pg_catalog.pg_table_is_visible(c.oid) THEN pg_catalog.format('%I', c.relname) ELSE pg_catalog.format('%I.%I', n.nspname, c.relname) END
		FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't' AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'citus', 'citus_internal', 'columnar')
			AND c.relname NOT LIKE 'shardload\_%' AND pg_catalog.has_table_privilege(c.oid, 'INSERT') ORDER BY 1`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

// completeJobs finds the jobs, by their ids, with what they are about.
func completeJobs(ctx context.Context, conn *pgx.Conn) ([]cobra.Completion, error) {
	_, jobs, err := listJobs(ctx, conn)
	var list []cobra.Completion
	for _, job := range jobs {
		list = append(list, cobra.CompletionWithDesc(job.Job, job.State+": "+job.Input+" into "+job.Table))
	}
	return list, err
}

// completeJobNames finds the names of the jobs that can be gone on with, as --job takes them.
func completeJobNames(ctx context.Context, conn *pgx.Conn) ([]cobra.Completion, error) {
	_, jobs, err := listJobs(ctx, conn)
	var list []cobra.Completion
	for _, job := range jobs {
		if job.State != stateComplete {
			list = append(list, cobra.CompletionWithDesc(job.Input, job.State+", into "+job.Table))
		}
	}
	return list, err
}
