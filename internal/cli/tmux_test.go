package cli_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"

	"shardload/internal/pgtest"
)

// A tmuxScreen is a terminal in which the command runs under a shell.
type tmuxScreen struct {
	t      *testing.T
	socket string
	width  int
}

// newTmux starts a terminal of that width. Without tmux the test is skipped.
func newTmux(t *testing.T, width int) *tmuxScreen {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Skip("tmux is not installed")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	room, err := os.MkdirTemp("", "tmux") // a socket's name must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(room) })
	if err := os.Symlink(self, filepath.Join(room, "shardload")); err != nil {
		t.Fatal(err)
	}
	s := &tmuxScreen{t, filepath.Join(room, "s"), width}
	s.tmux("-f", "/dev/null", "new-session", "-d", "-x", fmt.Sprint(width), "-y", "30", "-c", room,
		"env", "PATH="+room+string(filepath.ListSeparator)+os.Getenv("PATH"), "PS1=$ ", "sh")
	t.Cleanup(func() { _ = exec.Command("tmux", "-S", s.socket, "kill-server").Run() })
	s.await(`^\$`)
	return s
}

func (s *tmuxScreen) tmux(args ...string) string {
	s.t.Helper()
	out, err := exec.Command("tmux", append([]string{"-S", s.socket}, args...)...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("tmux %q: %v: %s", args, err, out)
	}
	return string(out)
}

// shows returns the lines of the terminal, without those that are empty.
func (s *tmuxScreen) shows() (lines []string) {
	for line := range strings.Lines(s.tmux("capture-pane", "-p")) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// await waits until one line of the terminal matches, and returns all.
func (s *tmuxScreen) await(pattern string) []string {
	s.t.Helper()
	return s.awaitAll(pattern, func([]string) bool { return true })
}

// awaitAll is await for lines of which also holds what ok says.
func (s *tmuxScreen) awaitAll(pattern string, ok func(lines []string) bool) []string {
	s.t.Helper()
	want := regexp.MustCompile(pattern)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
		lines := s.shows()
		for _, line := range lines {
			if want.MatchString(line) && ok(lines) {
				return lines
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("width %d: no line matches %s:\n%s", s.width, pattern, strings.Join(lines, "\n"))
		}
	}
}

// run types a command, with the rest of the screen cleared.
func (s *tmuxScreen) run(command string) {
	s.t.Helper()
	path := filepath.Join(filepath.Dir(s.socket), "run.sh") // what is typed must not look like a bar
	if err := os.WriteFile(path, []byte(command+"\n"), 0o600); err != nil {
		s.t.Fatal(err)
	}
	s.tmux("send-keys", "clear; . ./run.sh", "Enter")
}

// oneBar holds that the last of the lines is the bar, below the width, and the only one.
func (s *tmuxScreen) oneBar(lines []string, pattern string) {
	s.t.Helper()
	bar := regexp.MustCompile(pattern)
	n := 0
	for _, line := range lines {
		if bar.MatchString(line) {
			n++
		}
	}
	last := lines[len(lines)-1]
	if n != 1 || !bar.MatchString(last) || text.StringWidth(last) >= s.width {
		s.t.Errorf("width %d: want one bar, as the last line:\n%s", s.width, strings.Join(lines, "\n"))
	}
}

// TestTmuxBar holds that the bar is one line in terminals of any width, also where they become
// narrower, and is gone after Ctrl-C; then it is said what happened.
func TestTmuxBar(t *testing.T) {
	t.Parallel()
	for _, width := range []int{40, 80, 200} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			s := newTmux(t, width)
			s.run("timeout --foreground 200 shardload generate --stdout --table ads --size 10TB >/dev/null")
			s.oneBar(s.await(`^generate 0%.* left$`), `^generate 0%`)
			for _, narrower := range []int{width * 3 / 4, width / 2} {
				s.width = narrower
				s.tmux("resize-window", "-x", fmt.Sprint(narrower), "-y", "30")
				const bar = `^generate 0%`
				s.awaitAll(bar, func(lines []string) bool { return text.StringWidth(lines[len(lines)-1]) < narrower }) // drawn anew
				s.oneBar(s.await(bar), bar)
			}
			s.tmux("send-keys", "C-c")
			for _, line := range s.await(`^shardload: interrupt`) {
				if strings.Contains(line, "%") || strings.Contains(line, "left") {
					t.Errorf("width %d: the bar is still there: %q", width, line)
				}
			}
		})
	}
}

// TestTmuxDumb holds that a terminal that cannot clear a line gets lines.
func TestTmuxDumb(t *testing.T) {
	t.Parallel()
	s := newTmux(t, 120)
	s.run("TERM=dumb timeout --foreground 200 shardload generate --stdout --table ads --size 10TB >/dev/null")
	lines := s.await(`^generate: [0-9]+ %, [0-9,]+ rows, .* left$`)
	for _, line := range lines {
		if strings.Contains(line, "generate 0%") {
			t.Errorf("a bar: %q", line)
		}
	}
}

// TestTmuxWait holds that the bar of a load says for which lock it waits, and that after Ctrl-C
// it is said what happened, what is stored, and what to type, in this order.
func TestTmuxWait(t *testing.T) {
	t.Parallel()
	for _, width := range []int{40, 80, 200} {
		t.Run(fmt.Sprint(width), func(t *testing.T) {
			t.Parallel()
			dsn := pgtest.Plain(t)
			execute(t, dsn, "CREATE TABLE events (id int)")
			holder := pgtest.Connect(t, dsn)
			if _, err := holder.Exec(t.Context(), "BEGIN; LOCK TABLE events IN SHARE MODE"); err != nil {
				t.Fatal(err)
			}
			s := newTmux(t, width)
			s.run("echo 1 | shardload load --header no --table events --dsn '" + dsn + "' -")
			const bar = `^events:? .*waiting \d+ s for a `
			s.oneBar(s.await(bar), bar)
			s.tmux("send-keys", "C-c")
			s.await(`^shardload: interrupted$`)
			lines := s.await(`^stored before that: nothing`)
			all := strings.Join(lines, "\n")
			if happened, stored := strings.Index(all, "shardload: interrupted"), strings.Index(all, "stored before that"); happened > stored || regexp.MustCompile(bar).MatchString(all) {
				t.Errorf("width %d: %s", width, all)
			}
		})
	}
}
