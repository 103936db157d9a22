package generate

import (
	"encoding/csv"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"shardload/internal/pgcsv"
)

// field returns a field of three words, which are s.
func field(newWord func(string) word, s string) string {
	a, b, c := newWord(s[:len(s)/3]), newWord(s[len(s)/3:len(s)/2]), newWord(s[len(s)/2:])
	return string(new(dialect).appendWords(nil, &a, &b, &c))
}

func TestDialects(t *testing.T) {
	for _, test := range []struct{ field, csv, text string }{
		{"plain", "plain", "plain"},
		{"a,b", `"a,b"`, "a,b"},
		{`say "no"`, `"say ""no"""`, `say "no"`},
		{`"`, `""""`, `"`},
		{"O'Brien & Söhne", "O'Brien & Söhne", "O'Brien & Söhne"},
		{"a\tb", "a\tb", `a\tb`},
		{"a\nb\r\n", "\"a\nb\r\n\"", `a\nb\r\n`},
		{`\N`, `\N`, `\\N`},
		{`a\b`, `a\b`, `a\\b`},
	} {
		if got := field(csvWord, test.field); got != test.csv {
			t.Errorf("csv: %q is written as %q, want %q", test.field, got, test.csv)
		}
		if got := field(textWord, test.field); got != test.text {
			t.Errorf("text: %q is written as %q, want %q", test.field, got, test.text)
		}
	}
}

// The CSV is what pgcsv writes and what encoding/csv reads as the same.
func FuzzCSVField(f *testing.F) {
	for _, s := range []string{"a", `"`, ",", "a\nb", " a", "é"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if s == "" || s == `\.` {
			return // what no name is
		}
		got := field(csvWord, s)
		if want := string(pgcsv.AppendField(nil, []byte(s), ',')); got != want {
			t.Fatalf("%q is written as %q, pgcsv writes %q", s, got, want)
		}
		if strings.Contains(s, "\r") {
			return // encoding/csv reads \r\n as \n
		}
		record, err := csv.NewReader(strings.NewReader(got + ",x\n")).Read()
		if err != nil {
			t.Fatalf("%q is written as %q: %v", s, got, err)
		}
		if diff := cmp.Diff([]string{s, "x"}, record); diff != "" {
			t.Fatalf("%q is written as %q (-want +got):\n%s", s, got, diff)
		}
	})
}

// A field of COPY's text format has no bare delimiter, and without its
// backslashes is the same again.
func FuzzTextField(f *testing.F) {
	for _, s := range []string{"", "a", `\`, "\t", "a\nb", `\.`, `\N`, `\\n`} {
		f.Add(s)
	}
	plain := strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r", `\t`, "\t")
	f.Fuzz(func(t *testing.T, s string) {
		got := field(textWord, s)
		if strings.ContainsAny(got, "\t\n\r") || got == `\N` || got == `\.` {
			t.Fatalf("%q is written as %q", s, got)
		}
		if back := plain.Replace(got); back != s {
			t.Fatalf("%q is written as %q and read as %q", s, got, back)
		}
	})
}

func TestDigits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	numbers := []uint64{0, 9, 10, 99, 100, 999, 1000, math.MaxInt64, math.MaxUint64}
	for range 10_000 {
		numbers = append(numbers, random.Uint64()>>random.IntN(64))
	}
	for n := range uint64(20_000) {
		numbers = append(numbers, n, eights-n, eights*eights-n, eights*n)
	}
	for _, n := range numbers {
		if got, want := string(appendInt(nil, n)), strconv.FormatUint(n, 10); got != want {
			t.Fatalf("appendInt: %s, want %s", got, want)
		}
	}
	if got, want := string(appendHex(nil, 0xFFFF_FFFF_0012_aB9F)), "0012ab9f"; got != want {
		t.Errorf("appendHex: %s, want %s", got, want)
	}
}

func TestTimes(t *testing.T) {
	d, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, seconds := range []int64{0, 1, 59, 60, 3599, 3600, day - 1, day, 424 * day, calendarDays*day - 1} {
		want, err := timestamp(seconds).MarshalCSV()
		if err != nil {
			t.Fatal(err)
		}
		if got := string(d.calendar.appendTime(nil, seconds)); got != want {
			t.Errorf("second %d is written as %s, want %s", seconds, got, want)
		}
		if got, want := years()[d.calendar.year(seconds)], strconv.Itoa(timestamp(seconds).Year()); got != want {
			t.Errorf("second %d is in %s, want %s", seconds, got, want)
		}
	}
}

// Sites are written without a look at what array_out would have to escape.
func TestSitesNeedNoEscapes(t *testing.T) {
	seen := map[string]bool{}
	for _, site := range sites {
		if strings.ContainsAny(site, "\"\\ \t\r\n") || site == "" || seen[site] {
			t.Errorf("site %q: empty, twice, or in need of an escape", site)
		}
		seen[site] = true
	}
	if n := len(sites); n&(n-1) != 0 {
		t.Errorf("%d sites: an odd stride meets each of them only if they are a power of two", n)
	}
}
