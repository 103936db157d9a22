package cli

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"shardload/internal/server"
)

// A sizeValue is a flag that takes a number of bytes: 4000000, 4MB, 256MiB.
type sizeValue struct {
	bytes *int64
	min   int64
}

func (v sizeValue) Type() string { return "size" }

func (v sizeValue) String() string {
	if v.bytes == nil {
		return ""
	}
	return strings.NewReplacer(".0 ", "", " ", "").Replace(humanize.IBytes(uint64(max(*v.bytes, 0))))
}

func (v sizeValue) Set(s string) error {
	n, err := humanize.ParseBytes(s)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("want a number of bytes such as 256MiB or 4MB")
	}
	if int64(n) < v.min {
		return fmt.Errorf("want at least %s", humanize.IBytes(uint64(v.min)))
	}
	*v.bytes = int64(n)
	return nil
}

// A tableValue is a flag that takes a table's name, as SQL writes it. It is spelled in one way
// from here on: PUBLIC."ads" is public.ads.
type tableValue struct{ name *string }

func (v tableValue) Type() string { return "name" }

func (v tableValue) String() string {
	if v.name == nil {
		return ""
	}
	return *v.name
}

func (v tableValue) Set(s string) error {
	*v.name = s // what is none is said where it is looked for
	if parts, err := server.ParseName(s); err == nil {
		*v.name = server.Shown(parts...)
	}
	return nil
}

// A choiceValue is a flag that takes one of a few words.
type choiceValue[T ~string] struct {
	value   *T
	choices []T
}

func (v choiceValue[T]) Type() string { return "word" }

func (v choiceValue[T]) String() string {
	if v.value == nil {
		return ""
	}
	return string(*v.value)
}

func (v choiceValue[T]) Set(s string) error {
	if !slices.Contains(v.choices, T(s)) {
		return fmt.Errorf("want one of %s", strings.Join(v.words(), ", "))
	}
	*v.value = T(s)
	return nil
}

func (v choiceValue[T]) words() []string {
	words := make([]string, len(v.choices))
	for i, c := range v.choices {
		words[i] = string(c)
	}
	return words
}

// choiceFlag adds a flag to cmd that takes one of choices, and completes to them.
// The value that is there is the default.
func choiceFlag[T ~string](cmd *cobra.Command, value *T, name, usage string, choices ...T) {
	v := choiceValue[T]{value, choices}
	cmd.Flags().Var(v, name, usage+": "+strings.Join(v.words(), ", "))
	// The error is only for a flag that does not exist, and this one does.
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(v.words(), cobra.ShellCompDirectiveNoFileComp))
}

// nodeMapFlag adds the flag that says how workers are reached.
func nodeMapFlag(flags *pflag.FlagSet, to *map[string]string) {
	flags.StringToStringVar(to, "node-map", nil, "where workers can be reached from here: `HOST:PORT=HOST:PORT`, …")
	flags.Lookup("node-map").DefValue = ""
}
