package cli_test

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// standIn is the server of the pages. The test's own takes its place, but not in quotes,
// nor where more follows.
var standIn = regexp.MustCompile(`postgres://me@db\.example\.com/(app|scratch)( |$)`)

// run runs the page's steps and tells where one goes another way than the page says.
func (p *play) run(t *testing.T, page []step) {
	t.Helper()
	if err := p.script(t, "prepare", p.prepare); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.script(t, "finally", p.scripts["finally"]); err != nil {
			t.Error(err)
		}
	})
	out, err := p.bash(t, p.session(t, page))
	rest := out
	for i, st := range page {
		if reason, skip := p.skipped(st.command); skip {
			t.Logf("%s: not run: %s: %s", st.where, st.command, reason)
			continue
		}
		var code int
		mark := regexp.MustCompile(fmt.Sprintf("\n\x01%d (\\d+)\n", i))
		at := mark.FindStringSubmatchIndex(rest)
		if at == nil {
			t.Fatalf("%s: %s: it did not come to its end (%v):\n%s", st.where, st.command, err, rest)
		}
		_, _ = fmt.Sscan(rest[at[2]:at[3]], &code)
		if problem := p.judge(st, rest[:at[0]], code); problem != "" {
			t.Errorf("%s: %s: %s", st.where, st.command, problem)
		}
		rest = rest[at[1]:]
	}
}

// session returns the page as a script that ends each step with a line of its number and
// exit status.
func (p *play) session(t *testing.T, page []step) string {
	t.Helper()
	var b strings.Builder
	hook := func(name string) string {
		if text, ok := p.scripts[name]; ok {
			return fmt.Sprintf("bash -e %s >%s 2>&1 || { cat %[2]s; exit 99; }\n", p.write(t, text), filepath.Join(p.room, "hook.log"))
		}
		return ""
	}
	for i, st := range page {
		if _, skip := p.skipped(st.command); skip {
			fmt.Fprint(&b, p.askFlags(st.command))
			continue
		}
		if i > 0 && st.where != page[i-1].where && strings.HasSuffix(st.where, "--help") {
			fmt.Fprintln(&b, "unset DATABASE_URL") // what one verb's examples export
		}
		command := standIn.ReplaceAllString(st.command, `"$$DSN"$2`)
		fmt.Fprint(&b, hook("before "+st.command))
		if st.interrupted {
			// With -m the command is a process group, which hears of Ctrl-C as under a terminal.
			// The shell's own words about it are not the command's.
			fmt.Fprintf(&b, "( exec 3>&2 2>/dev/null; set -m\n{ %s\n} 2>&3 3>&- &\npid=$!\n%skill -INT -- -$pid; wait $pid )\n", command, hook("during "+st.command))
		} else {
			fmt.Fprintf(&b, "{ %s\n}\n", command)
		}
		fmt.Fprintf(&b, "printf '\\n\\001%d %%d\\n' $?\n", i)
		fmt.Fprint(&b, hook("after "+st.command))
	}
	return b.String()
}

// askFlags returns what shows that a command which is not run is spelled well, as far as
// its verb and flags go. It ends the session if it is not.
func (p *play) askFlags(command string) string {
	if !strings.HasPrefix(command, "shardload ") || strings.ContainsAny(command, "|&;$<>") {
		return ""
	}
	return fmt.Sprintf("%s --help >/dev/null || exit 98\n", command)
}

// judge compares what a command did with what the page shows.
func (p *play) judge(st step, out string, code int) string {
	failureShown := strings.Contains("\n"+strings.Join(st.output, "\n"), "\nshardload: ")
	if (code != 0) != failureShown {
		return fmt.Sprintf("exit status %d:\n%s", code, out)
	}
	if !st.console {
		return ""
	}
	want, got := plain(strings.Join(st.output, "\n")), plain(p.known.Replace(out))
	if !matches(want, got) {
		return fmt.Sprintf("printed (-page +command):\n%s", cmp.Diff(want, got))
	}
	return ""
}
