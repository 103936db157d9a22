package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"shardload/generate"
	"shardload/internal/checksum"
	"shardload/internal/tutorial"
)

var updateSchema = flag.Bool("update-schema", false, "write docs/output.schema.json anew")

// progressEvent is what the schema calls a line of --progress json.
const progressEvent = "progress"

const schemaFile = "../../docs/output.schema.json"

// answers has the answer of each command with --json: what it is made of, by the command's
// name, or by the flag besides that makes another one of it.
func answers() map[string]any {
	return map[string]any{
		"demo": demoReport{}, "generate": generate.Manifest{},
		"schema create": actionsJSON{}, "schema distribute": actionsJSON{}, "schema drop": actionsJSON{},
		"schema status": tablesJSON{}, "schema print": sqlJSON{}, "schema print FILE": outlineJSON{},
		"load": loadReport{}, "load --explain": plansJSON{},
		"status": statusJSON{}, "forget": forgetJSON{}, "verify": verifyReport{},
		"tutorial": tutorial.Report{}, "bench": benchJSON{}, "bench compare": comparisonJSON{}, "tune": tuneJSON{},
		"cluster start": startedJSON{}, "cluster stop": stoppedJSON{}, "cluster status": clusterJSON{},
		"clean": cleanJSON{}, "version": buildVersion{}, "version --licenses": licensesJSON{}, "help": helpJSON{},
	}
}

// TestOutputSchema holds that docs/output.schema.json says what the answers are made of.
func TestOutputSchema(t *testing.T) {
	t.Parallel()
	want, err := outputSchema()
	if err != nil {
		t.Fatal(err)
	}
	if *updateSchema {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("go test ./internal/cli -run TestOutputSchema -update-schema writes it anew (-want +got):\n%s", diff)
	}
}

// outputSchema returns the schema of all documents.
func outputSchema() ([]byte, error) {
	defs := map[string]*jsonschema.Schema{}
	failure, err := schemaOf(errorJSON{})
	if err != nil {
		return nil, err
	}
	defs["error"] = failure
	ref := func(name string) *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/" + name} }
	defs["failed"] = &jsonschema.Schema{
		Type: "object", Description: "A command that failed and has no answer.",
		Properties: map[string]*jsonschema.Schema{"error": ref("error")}, Required: []string{"error"},
		AdditionalProperties: &jsonschema.Schema{Not: &jsonschema.Schema{}},
	}
	root := &jsonschema.Schema{
		Schema: "https://json-schema.org/draft/2020-12/schema", Title: "What shardload prints with --json",
		Description: "Each command prints one document: its answer, which has its name here, with the error that ended it, or the error alone.",
		Defs:        defs, AnyOf: []*jsonschema.Schema{ref("failed")},
	}
	defs[progressEvent], err = schemaOf(eventJSON{})
	if err != nil {
		return nil, err
	}
	defs[progressEvent].Required = []string{"event", "time"} // the others are of some events
	defs[progressEvent].Title = "a line on standard error with --progress json"
	for _, name := range slices.Sorted(maps.Keys(answers())) {
		s, err := schemaOf(answers()[name])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		s.Title = "shardload " + name
		s.Properties["error"] = ref("error")
		s.PropertyOrder = append(s.PropertyOrder, "error")
		defs[defName(name)] = s
		root.AnyOf = append(root.AnyOf, ref(defName(name)))
	}
	text, err := json.Marshal(root)
	if err != nil {
		return nil, err
	}
	var doc bytes.Buffer
	err = json.Indent(&doc, text, "", "  ")
	doc.WriteByte('\n')
	return doc.Bytes(), err
}

func defName(command string) string { return strings.ReplaceAll(command, " ", "_") }

// schemaOf returns the schema of v, with what its fields' comments say.
func schemaOf(v any) (*jsonschema.Schema, error) {
	t := reflect.TypeOf(v)
	text := &jsonschema.Schema{Type: "string"}
	s, err := jsonschema.ForType(t, &jsonschema.ForOptions{TypeSchemas: map[reflect.Type]*jsonschema.Schema{
		reflect.TypeFor[checksum.Sum]():    text,
		reflect.TypeFor[generate.Format](): text,
	}})
	if err == nil {
		describeFields(s, t)
	}
	return s, err
}

// describeFields takes the descriptions of the properties of s from the comments of t's fields.
func describeFields(s *jsonschema.Schema, t reflect.Type) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		next := s.Items
		switch t.Kind() {
		case reflect.Pointer:
			next = s
		case reflect.Map:
			next = s.AdditionalProperties
		}
		if s, t = next, t.Elem(); s == nil {
			return
		}
	}
	if t.Kind() != reflect.Struct || s.Properties == nil {
		return
	}
	for _, field := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		property := s.Properties[name]
		if property == nil {
			continue
		}
		owner := t
		for _, i := range field.Index[:len(field.Index)-1] {
			if owner.Kind() == reflect.Pointer {
				owner = owner.Elem()
			}
			owner = owner.Field(i).Type
		}
		if owner.Kind() == reflect.Pointer {
			owner = owner.Elem()
		}
		if said := comments(owner.PkgPath())[owner.Name()+"."+field.Name]; said != "" {
			property.Description = said
		}
		describeFields(property, field.Type)
	}
}

var fieldComments sync.Map // of map[string]string, by package

// comments returns what a package of ours says of the fields of its types.
func comments(pkg string) map[string]string {
	if known, ok := fieldComments.Load(pkg); ok {
		return known.(map[string]string)
	}
	said := map[string]string{}
	dir := filepath.Join("..", "..", strings.TrimPrefix(pkg, "shardload"))
	files, _ := filepath.Glob(filepath.Join(dir, "*.go")) // the pattern is well formed
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			continue // the compiler says so
		}
		ast.Inspect(file, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range of.Fields.List {
					text := strings.Join(strings.Fields(field.Doc.Text()+" "+field.Comment.Text()), " ")
					for _, name := range field.Names {
						said[spec.Name.Name+"."+name.Name] = text
					}
				}
			}
			return true
		})
	}
	fieldComments.Store(pkg, said)
	return said
}

// CheckDocument says how what a command has printed differs from the schema of its answer; of
// "failed" it is of any command that has none.
func CheckDocument(command string, text []byte) error {
	schema, err := os.ReadFile(schemaFile)
	if err != nil {
		return err
	}
	root := &jsonschema.Schema{}
	if err := json.Unmarshal(schema, root); err != nil {
		return err
	}
	if root.Defs[defName(command)] == nil {
		return fmt.Errorf("%s: no such answer in %s", command, schemaFile)
	}
	root.AnyOf = []*jsonschema.Schema{{Ref: "#/$defs/" + defName(command)}}
	resolved, err := root.Resolve(nil)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	var doc any
	if err := dec.Decode(&doc); err != nil {
		return fmt.Errorf("%s: no document: %w\n%s", command, err, text)
	}
	if err := dec.Decode(new(any)); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%s: more than one document:\n%s", command, text)
	}
	if err := resolved.Validate(doc); err != nil {
		return fmt.Errorf("%s: %w\n%s", command, err, text)
	}
	return nil
}

// AnswerNames returns the names of the answers in the schema.
func AnswerNames() (names []string) {
	for name := range answers() {
		names = append(names, defName(name))
	}
	return names
}

// A check that cannot fail is none.
func TestCheckDocument(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]bool{
		`{"version": "1", "go": "go1", "platform": "p"}`:                                               true,
		`{"version": "1", "go": "go1", "platform": "p", "error": {"code": "failed", "message": "no"}}`: true,
		`{"version": "1", "go": "go1"}`:                                                                false,
		`{"version": 1, "go": "go1", "platform": "p"}`:                                                 false,
		`{"version": "1", "go": "go1", "platform": "p", "more": 1}`:                                    false,
		`{"version": "1", "go": "go1", "platform": "p", "error": "no"}`:                                false,
		`{"version": "1", "go": "go1", "platform": "p"} {}`:                                            false,
		`{"version": "1", "go": "go1", "platform": "p", "error": {"code": "failed"}}`:                  false,
		``: false,
	} {
		if err := CheckDocument("version", []byte(text)); (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestEveryCommandAnswers holds that each command has an answer in the schema, and that it prints
// an error as a document, too: of its flags, when it does not even run.
func TestEveryCommandAnswers(t *testing.T) {
	t.Parallel()
	a := &app{console: console{Env: Env{Getenv: func(string) string { return "" }}}}
	known := answers()
	for i, cmd := range leaves(newRootCommand(a)) {
		name := strings.TrimPrefix(cmd.CommandPath(), "shardload ")
		if known[name] == nil && !strings.HasPrefix(name, "completion ") {
			t.Errorf("%s: no answer of it is in the schema", name)
		}
		forms := []string{"--json", "--json=true"}
		if testing.Short() {
			forms = forms[i%2:][:1]
		}
		for _, asked := range forms {
			var out bytes.Buffer
			args := append(strings.Fields(name), "--no-such-flag", asked)
			status := Main(t.Context(), Env{Args: args, Stdin: strings.NewReader(""), Stdout: &out, Stderr: io.Discard, Getenv: func(string) string { return "" }})
			if err := CheckDocument("failed", out.Bytes()); err != nil || status != statusUsage || !strings.Contains(out.String(), `"code": "usage"`) {
				t.Errorf("%q: status %d, %v", args, status, err)
			}
		}
	}
}
