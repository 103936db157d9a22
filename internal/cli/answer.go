package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

// With --json a command prints one document and no more, whatever becomes of it: its answer, the
// error that ended it, or both. A test holds it against docs/output.schema.json.

// printJSON makes v, which is an object, the answer. It is printed when the command ends.
func (c *console) printJSON(v any) error {
	c.answer = v
	return nil
}

// finish prints the document, with err if the command failed, and returns err.
func (a *app) finish(ctx context.Context, err error) error {
	shell := len(a.Args) > 0 && strings.HasPrefix(a.Args[0], cobra.ShellCompRequestCmd) // completes what is typed
	if shell || !a.json && (err == nil || !asksForJSON(a.Args)) {
		return err
	}
	doc, failed := document(ctx, a.answer, err)
	if failed == nil {
		failed = a.printDocument(doc)
	}
	return errors.Join(err, failed)
}

// document returns answer as JSON, with err as its last field.
func document(ctx context.Context, answer any, err error) ([]byte, error) {
	if answer == nil {
		answer = struct{}{}
	}
	text, failed := compactJSON(answer)
	if failed != nil {
		return nil, failed
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		return nil, fmt.Errorf("the answer is no object: %.40s", text)
	}
	if err != nil {
		said, failed := compactJSON(errorDocument(ctx, err))
		if failed != nil {
			return nil, failed
		}
		text = bytes.TrimSuffix(text, []byte("}"))
		if len(text) > 1 {
			text = append(text, ',')
		}
		text = slices.Concat(text, []byte(`"error":`), said, []byte("}"))
	}
	var doc bytes.Buffer
	if err := json.Indent(&doc, text, "", "  "); err != nil {
		return nil, err
	}
	doc.WriteByte('\n')
	return doc.Bytes(), nil
}

// compactJSON returns v in one line.
func compactJSON(v any) ([]byte, error) {
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimRight(text.Bytes(), "\n"), err
}

// asksForJSON reports whether args ask for JSON, where they were not all understood.
func asksForJSON(args []string) bool {
	for _, arg := range args {
		value, given := strings.CutPrefix(arg, "--json=")
		on, err := strconv.ParseBool(value)
		switch {
		case arg == "--":
			return false
		case arg == "--json", given && err == nil && on:
			return true
		}
	}
	return false
}

// asksForEvents reports whether args ask for lines of JSON, where they were not all understood.
func asksForEvents(args []string) bool {
	for i, arg := range args {
		switch {
		case arg == "--":
			return false
		case arg == "--progress=json", arg == "json" && i > 0 && args[i-1] == "--progress":
			return true
		}
	}
	return false
}

// notAsJSON returns run for a command that prints what, and not a document.
func (a *app) notAsJSON(run func(*cobra.Command, []string) error, what string) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if a.json {
			return usagef(cmd, "this prints %s, which is no JSON: leave --json out", what)
		}
		return run(cmd, args)
	}
}

// A helpJSON is a command's help.
type helpJSON struct {
	Command string `json:"command"`
	Help    string `json:"help"`
}

// helpFunc returns show, or, with --json, what makes a document of what it shows.
func (a *app) helpFunc(show func(*cobra.Command, []string)) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		if !a.json {
			show(cmd, args)
			return
		}
		var text strings.Builder
		cmd.SetOut(&text)
		show(cmd, args)
		a.answer = helpJSON{cmd.CommandPath(), text.String()}
	}
}
