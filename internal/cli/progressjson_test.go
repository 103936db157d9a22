package cli

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProgressEvents holds what a program hears of work: when it begins, every second, and when
// it ends, however short it is; and of notes.
func TestProgressEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var stderr bytes.Buffer
		a := &console{Env: Env{Stderr: &sharedWriter{w: &stderr}}, progressAs: progressJSON}
		begun := time.Now()
		stop := a.progress(t.Context(), "ads\x1b", func() snapshot {
			n := int64(time.Since(begun) / time.Second)
			return snapshot{Rows: 1000 * n, Bytes: 2_000_000 * n, Done: n, Total: 4}
		})
		time.Sleep(1500 * time.Millisecond)
		a.note("a note of %q", "x\ny")
		time.Sleep(500 * time.Millisecond)
		stop()
		stop()
		a.tell("stored before that: %s\n", "nothing")
		want := `{"event":"begin","time":"2000-01-01T00:00:00Z","of":"ads\u001b","rows":0,"bytes":0,"seconds":0,"rows_per_second":0,"percent":0}
{"event":"progress","time":"2000-01-01T00:00:01Z","of":"ads\u001b","rows":1000,"bytes":2000000,"seconds":1,"rows_per_second":1000,"percent":25,"seconds_left":3}
{"event":"note","time":"2000-01-01T00:00:01.5Z","text":"a note of \"x\\ny\""}
{"event":"end","time":"2000-01-01T00:00:02Z","of":"ads\u001b","rows":2000,"bytes":4000000,"seconds":2,"rows_per_second":1000,"percent":50,"seconds_left":2}
{"event":"note","time":"2000-01-01T00:00:02Z","text":"stored before that: nothing"}
`
		got := strings.Join(withoutSecond(stderr.String()), "")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("stderr (-want +got):\n%s", diff)
		}
		for line := range strings.Lines(stderr.String()) {
			if err := CheckDocument(progressEvent, []byte(line)); err != nil {
				t.Error(err)
			}
		}
	})
}

// withoutSecond returns the lines of text without the event of the second at which work ends: it
// may come before that, or not.
func withoutSecond(text string) (lines []string) {
	for line := range strings.Lines(text) {
		if !strings.Contains(line, `"event":"progress","time":"2000-01-01T00:00:02Z"`) {
			lines = append(lines, line)
		}
	}
	return lines
}

func TestProgressNone(t *testing.T) {
	var stderr bytes.Buffer
	a := &console{Env: Env{Stderr: &stderr}, progressAs: progressNone}
	a.progress(t.Context(), "ads", func() snapshot {
		t.Error("work is polled that nobody asks about")
		return snapshot{}
	})()
	a.note("a note")
	if got := stderr.String(); got != "a note\n" {
		t.Errorf("stderr has %q", got)
	}
}
