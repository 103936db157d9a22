package cli

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestFlagsHaveTopics holds that the help of a command with many flags shows all of them by topic,
// that each is of one, and that topics name no flag that there is not.
func TestFlagsHaveTopics(t *testing.T) {
	t.Parallel()
	a := &app{console: console{Env: Env{Getenv: func(string) string { return "" }}}}
	var all []string
	for _, cmd := range leaves(newRootCommand(a)) {
		flags := cmd.LocalFlags()
		var shown []string
		for _, topic := range byTopic(flags) {
			shown = append(shown, topic.flags...)
			if topic.title == "Other flags" && !strings.HasPrefix(cmd.CommandPath(), "shardload completion") {
				t.Errorf("%s: %q have no topic: see topics", cmd.CommandPath(), topic.flags)
			}
		}
		flags.VisitAll(func(f *pflag.Flag) {
			all = append(all, f.Name)
			if n := len(slices.DeleteFunc(slices.Clone(shown), func(name string) bool { return name != f.Name })); n != 1 {
				t.Errorf("%s: --%s is shown %d times", cmd.CommandPath(), f.Name, n)
			}
		})
		for line := range strings.Lines(usageText(cmd)) {
			if n := len([]rune(line)); n > usageWidth+1 && strings.HasPrefix(line, "      --") {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
	}
	for _, topic := range topics() {
		for _, name := range topic.flags {
			if !slices.Contains(all, name) && !slices.Contains([]string{"shape", "defer-indexes", "dir", "help"}, name) {
				t.Errorf("topic %s: there is no --%s", topic.title, name)
			}
		}
	}
}
