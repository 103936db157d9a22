package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"shardload/generate"
	"shardload/internal/input"
	"shardload/internal/verify"
	"shardload/loader"
)

// Tables of a dataset are loaded and compared as they are made.
var (
	_ loader.BlockSource = (*generate.Table)(nil)
	_ verify.BlockSource = (*generate.Table)(nil)
)

// generatedFlags say which dataset to make in place of reading files.
type generatedFlags struct {
	generate bool
	sizes    *sizeFlags
	part     partValue
}

func addGeneratedFlags(cmd *cobra.Command) *generatedFlags {
	g := &generatedFlags{}
	flags := cmd.Flags()
	flags.BoolVar(&g.generate, "generate", false, "make the dataset in place of reading files; with the flags of the dataset")
	g.sizes = addSizeFlags(flags)
	g.sizes.addDirtyFlag()
	flags.Var(&g.part, "part", "the piece of each table: 3/10 is the third of ten")
	return g
}

// ofFiles are the flags that say how files are read.
var ofFiles = []string{"header", "null", "delimiter", "encoding", "max-record"}

// inputs returns the tables of the dataset, or the one that is named, parents
// first.
func (g *generatedFlags) inputs(cmd *cobra.Command, table string, args []string) ([]tableInput, error) {
	if len(args) > 0 {
		return nil, usagef(cmd, "--generate makes its rows itself: name no files")
	}
	for _, flag := range ofFiles {
		if cmd.Flags().Changed(flag) {
			return nil, usagef(cmd, "--%s is about files, and --generate reads none", flag)
		}
	}
	if table != "" && !slices.Contains(datasetTables(), table) {
		return nil, usagef(cmd, "table %s: the dataset has %s", table, strings.Join(datasetTables(), ", "))
	}
	data, err := g.sizes.dataset(cmd)
	if err != nil {
		return nil, err
	}
	var tables []tableInput
	for _, name := range datasetTables() {
		if table != "" && name != table {
			continue
		}
		t, err := data.Table(name)
		if err != nil {
			return nil, err
		}
		name := "generated " + name
		if g.part.of > 0 {
			t = t.Part(g.part.number, g.part.of)
			name += " " + g.part.String()
		}
		tables = append(tables, tableInput{TableFiles: input.TableFiles{Table: t.Name(), Files: []string{name}}, Rows: t.Rows(), data: t, job: name + ": " + data.Config().String()})
	}
	return tables, nil
}

// refuse complains of flags that only --generate gives a sense.
func (g *generatedFlags) refuse(cmd *cobra.Command) error {
	for _, flag := range append(slices.Clone(sizeFlagNames), "part") {
		if cmd.Flags().Changed(flag) {
			return usagef(cmd, "--%s says what to generate: it needs --generate", flag)
		}
	}
	return nil
}

// A partValue is a flag such as 3/10.
type partValue struct{ number, of int }

func (v *partValue) Type() string { return "part" }

func (v *partValue) String() string {
	if v.of == 0 {
		return ""
	}
	return fmt.Sprintf("%d/%d", v.number, v.of)
}

func (v *partValue) Set(s string) error {
	var p partValue
	if _, err := fmt.Sscanf(s+"\n", "%d/%d\n", &p.number, &p.of); err != nil || p.number < 1 || p.number > p.of {
		return fmt.Errorf("want a number and how many there are, such as 3/10")
	}
	*v = p
	return nil
}

// inputsOf says which rows belong to which table: those of files, or generated
// ones.
func (g *generatedFlags) inputsOf(c *console, cmd *cobra.Command, table string, args []string) ([]tableInput, error) {
	if g.generate {
		return g.inputs(cmd, table, args)
	}
	if err := g.refuse(cmd); err != nil {
		return nil, err
	}
	tables, err := inputs(cmd, table, args)
	if err != nil {
		return nil, err
	}
	for i := range tables {
		if tables[i].header, err = storeHeader(c, cmd); err != nil {
			return nil, err
		}
	}
	if table != "" {
		return tables, err
	}
	dir := args[0]
	missing, err := generate.Missing(dir)
	if missing != "" {
		c.note("note: %s: %s", dir, missing)
	}
	return tables, err
}

// what says what there is to load, or to compare with.
func (t tableInput) what() string {
	if t.data != nil {
		return plural(t.data.Rows(), "generated row")
	}
	return plural(int64(max(len(t.Files), len(t.parts))), "file")
}
