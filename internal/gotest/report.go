package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// An event is a line of "go test -json"; see "go doc test2json".
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
}

// A report digests the events of one run.
type report struct {
	w       io.Writer
	output  map[[2]string]string // by package and test, until the test has ended
	skipped map[string][]string  // tests, by reason
	passed  int
	failed  int
}

func newReport(w io.Writer) *report {
	return &report{w: w, output: map[[2]string]string{}, skipped: map[string][]string{}}
}

// read takes events from r until it ends.
func (r *report) read(in io.Reader) error {
	dec := json.NewDecoder(in)
	for {
		var e event
		if err := dec.Decode(&e); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("output of go test: %w", err)
		}
		r.add(e)
	}
}

func (r *report) add(e event) {
	key := [2]string{e.Package, e.Test}
	switch {
	case e.Action == "build-output":
		fmt.Fprint(r.w, e.Output)
	case e.Action == "output" && e.Test == "":
		if e.Output != "PASS\n" {
			fmt.Fprint(r.w, e.Output)
		}
	case e.Action == "output":
		r.output[key] += e.Output
	case e.Action == "fail" && e.Test == "":
		r.flush(e.Package)
	case e.Test == "":
		return
	case e.Action == "fail":
		r.failed++
		fmt.Fprint(r.w, r.output[key])
		delete(r.output, key)
	case e.Action == "skip":
		why := skipReason(r.output[key])
		r.skipped[why] = append(r.skipped[why], e.Test)
		delete(r.output, key)
	case e.Action == "pass":
		r.passed++
		delete(r.output, key)
	}
}

// flush prints what tests of pkg wrote that never ended: a panic, a time-out.
func (r *report) flush(pkg string) {
	for key, out := range r.output {
		if key[0] == pkg {
			fmt.Fprint(r.w, out)
			delete(r.output, key)
		}
	}
}

// summary prints the counts, and the skipped tests by reason.
func (r *report) summary() {
	skips := 0
	for _, tests := range r.skipped {
		skips += len(tests)
	}
	fmt.Fprintf(r.w, "%d tests passed, %d failed, %d skipped", r.passed, r.failed, skips)
	if skips == 0 {
		fmt.Fprintln(r.w)
		return
	}
	fmt.Fprintln(r.w, ":")
	for _, why := range slices.Sorted(maps.Keys(r.skipped)) {
		tests := r.skipped[why]
		fmt.Fprintf(r.w, "  %d: %s (%s)\n", len(tests), why, strings.Join(tests, ", "))
	}
}

var message = regexp.MustCompile(`^\s+\S+\.go:\d+: (.*)$`)

// skipReason finds what t.Skip was told in the test's output: the last message that
// is one line long. A longer one is a log.
func skipReason(output string) string {
	reason := ""
	lines := strings.Split(output, "\n")
	for i, line := range lines[:len(lines)-1] {
		continued := strings.HasPrefix(lines[i+1], "        ")
		if m := message.FindStringSubmatch(line); m != nil && !continued {
			reason = strings.TrimSpace(m[1])
		}
	}
	return cmp.Or(reason, "no reason given")
}
