package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// A listValue is a flag that takes values with commas between them, or is given
// several times. Its default is what the list holds first.
type listValue[T any] struct {
	list  *[]T
	kind  string
	parse func(string) (T, error)
	text  func(T) string
	given bool
}

func (v *listValue[T]) Type() string { return v.kind }

func (v *listValue[T]) String() string {
	if v.list == nil {
		return ""
	}
	words := make([]string, len(*v.list))
	for i, item := range *v.list {
		words[i] = v.text(item)
	}
	return strings.Join(words, ",")
}

func (v *listValue[T]) Set(s string) error {
	var list []T
	for word := range strings.SplitSeq(s, ",") {
		item, err := v.parse(strings.TrimSpace(word))
		if err != nil {
			return err
		}
		list = append(list, item)
	}
	if v.given {
		list = append(*v.list, list...)
	}
	*v.list, v.given = list, true
	return nil
}

// sizesFlag adds a flag that takes numbers of bytes.
func sizesFlag(cmd *cobra.Command, list *[]int64, name, usage string) {
	parse := func(s string) (n int64, err error) {
		err = sizeValue{&n, 1}.Set(s)
		return n, err
	}
	cmd.Flags().Var(&listValue[int64]{
		list: list, kind: "sizes", parse: parse,
		text: func(n int64) string { return sizeValue{&n, 1}.String() },
	}, name, usage)
}

// countsFlag adds a flag that takes numbers: 500000, 500_000.
func countsFlag[T int | int64](cmd *cobra.Command, list *[]T, name, usage string) {
	parse := func(s string) (n T, err error) {
		if _, err := fmt.Sscanf(s, "%v", &n); err != nil || n < 1 {
			return 0, fmt.Errorf("want numbers above 0, with commas between them")
		}
		return n, nil
	}
	cmd.Flags().Var(&listValue[T]{
		list: list, kind: "numbers", parse: parse,
		text: func(n T) string { return fmt.Sprint(n) },
	}, name, usage)
}

// choicesFlag adds a flag that takes some of a few words, and completes to them.
func choicesFlag[T ~string](cmd *cobra.Command, list *[]T, name, usage string, choices ...T) {
	parse := func(s string) (T, error) {
		var word T
		err := choiceValue[T]{&word, choices}.Set(s)
		return word, err
	}
	words := choiceValue[T]{choices: choices}.words()
	cmd.Flags().Var(&listValue[T]{
		list: list, kind: "words", parse: parse,
		text: func(w T) string { return string(w) },
	}, name, usage+": "+strings.Join(words, ", "))
	completes(cmd, name, completesList(words))
}
