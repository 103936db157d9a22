package cli_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"shardload/internal/cli"
)

// TestDocsYAML holds that blocks of YAML in docs are YAML, and that where they call
// shardload its verbs and flags are there.
func TestDocsYAML(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range yamlBlocks(string(text)) {
			list, err := callsIn(block)
			if err != nil {
				t.Errorf("%s: %v in:\n%s", file, err, block)
			}
			for _, args := range list {
				calls++
				if err := knows(args); err != nil {
					t.Errorf("%s: shardload %s: %v", file, strings.Join(args, " "), err)
				}
			}
		}
	}
	if calls < 4 {
		t.Errorf("%d calls of shardload found", calls)
	}
	if knows([]string{"load", "--tabel", "t"}) == nil || knows([]string{"lode", "f"}) == nil || knows([]string{"load", "f", "--memory", "much"}) == nil {
		t.Error("what is wrong is taken for right")
	}
}

// yamlBlocks returns the blocks of YAML in a page.
func yamlBlocks(text string) (blocks []string) {
	for _, part := range strings.Split(text, "```yaml\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	return blocks
}

// callsIn returns how a block calls shardload: the arguments of images, and commands.
func callsIn(block string) (list [][]string, err error) {
	dec := yaml.NewDecoder(strings.NewReader(block))
	for {
		var document any
		switch err := dec.Decode(&document); {
		case errors.Is(err, io.EOF):
			return list, nil
		case err != nil:
			return nil, err
		}
		list = append(list, callsOf(document)...)
	}
}

func callsOf(value any) (list [][]string) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			list = append(list, callsOf(element)...)
		}
	case map[string]any:
		image := fmt.Sprint(v["image"])
		for key, element := range v {
			words, isList := element.([]any)
			switch text, isText := element.(string); {
			case isText && key == "run" && strings.HasPrefix(text, "shardload "):
				list = append(list, strings.Fields(text)[1:])
			case isList && strings.Contains(image, "shardload") && slices.Contains([]string{"args", "command"}, key):
				var args []string
				for _, word := range words {
					args = append(args, fmt.Sprint(word))
				}
				list = append(list, args)
			default:
				list = append(list, callsOf(element)...)
			}
		}
	}
	return list
}

// knows returns why shardload does not know what it is called with.
func knows(args []string) error {
	root := cli.Root()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err
	}
	if cmd == root {
		return errors.New("no such verb")
	}
	return cmd.ParseFlags(rest)
}
