package demo

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var busy = State{
	Counts: Counts{
		At: 83 * time.Second, Requests: 60, Retries: 1, Pages: 1_234_567, Fetched: 1_234_567, Unchanged: 12_345, LimitWait: 61 * time.Second,
		Processed: 1_234_567, Filtered: 12_345, Rows: 1_234_567, ProcessorLetters: 3, RawLag: 12,
		Sunk: 1_234_567, Upserts: 1_234_567, Deletes: 345, SinkLetters: 2, ProcessedLag: -1,
	},
	Rates: Rates{12_345.7, 0.4, 0.6}, FirstRow: 840 * time.Millisecond, Database: "SQLite",
	Phase: "the API publishes revisions", Notice: "sink: waits for MySQL: connection refused",
}

var codes = regexp.MustCompile("\x1b\\[[0-9;?]*[A-Za-z]")

func TestBlockFitsTheTerminal(t *testing.T) {
	for _, width := range []int{1, 20, 79, 80, 120} {
		plain, colored := busy.Block(width, Style{}), busy.Block(width, Style{Color: true})
		if len(plain) != len(colored) {
			t.Fatalf("%d lines, coloured %d", len(plain), len(colored))
		}
		for i := range plain {
			if strings.ContainsRune(plain[i], '\x1b') {
				t.Errorf("width %d: codes without colour: %q", width, plain[i])
			}
			if n := utf8.RuneCountInString(plain[i]); n > width {
				t.Errorf("width %d: %d columns: %q", width, n, plain[i])
			}
			if bare := codes.ReplaceAllString(colored[i], ""); bare != plain[i] {
				t.Errorf("width %d: coloured %q, plain %q", width, bare, plain[i])
			}
			if strings.Count(colored[i], "\x1b[")%2 != 0 {
				t.Errorf("width %d: a colour is not switched off: %q", width, colored[i])
			}
		}
	}
}

func TestBlockSays(t *testing.T) {
	block := strings.Join(busy.Block(200, Style{}), "\n")
	for _, want := range []string{
		"ingest    1,234,567 12,346        1,234,567 pages, 1 retry, 61.0 s rate limit, 12,345 unchanged\n",
		"processor 1,234,567      0    12  1,234,567 rows, 12,345 filtered, 3 dead letters\n",
		"sink      1,234,567      1        1,234,567 written, 345 deleted, 2 dead letters\n",
		" 83.0 s  the API publishes revisions · first row in SQLite after 0.8 s\n",
		"! sink: waits for MySQL: connection refused",
	} {
		if !strings.Contains(block, want) {
			t.Errorf("no %q in\n%s", want, block)
		}
	}
}

func TestNarrowBlockLeavesOutWhatDoesNotFit(t *testing.T) {
	for _, l := range busy.Block(80, Style{})[1:4] {
		if strings.Contains(l, "…") || strings.HasSuffix(l, ",") {
			t.Errorf("cut in the middle: %q", l)
		}
	}
}

func TestPlainIsOneLine(t *testing.T) {
	got := busy.Plain()
	if strings.ContainsAny(got, "\x1b\r\n") || !strings.Contains(got, "processor 1,234,567, lag 12 · sink 1,234,567, lag - · 1,234,567 rows written, 345 deleted, 12,345 filtered, 1 retry, 5 dead letters") {
		t.Errorf("%q", got)
	}
}

// TestScreenDrawsOverItself plays what is written on a terminal of three lines of state.
func TestScreenDrawsOverItself(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{out: &out, size: func() (int, int) { return 40, 24 }}
	draw := func(state State) string {
		t.Helper()
		out.Reset()
		if err := s.Draw(state, Style{}); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	first := draw(busy)
	lines := len(busy.Block(40, Style{}))
	if strings.Contains(first, "A"+hideCursor) || regexp.MustCompile(`\x1b\[\d+A`).MatchString(first) {
		t.Errorf("the first block moves up: %q", first)
	}
	if strings.Count(first, "\r\n") != lines || strings.Count(first, eraseToEnd) != lines || !strings.Contains(first, hideCursor) {
		t.Errorf("%q", first)
	}
	quiet := busy
	quiet.Notice = ""
	if second := draw(quiet); !strings.Contains(second, "\x1b[7A") || !strings.Contains(second, eraseBelow) || strings.Contains(second, hideCursor) {
		t.Errorf("the second block does not replace all of the first: %q", second)
	}
	if third := draw(quiet); !strings.Contains(third, "\x1b[6A") {
		t.Errorf("the third block is drawn over more or less than the second: %q", third)
	}
	out.Reset()
	for range 2 { // closing again is harmless
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if out.String() != showCursor {
		t.Errorf("close: %q", out.String())
	}
}

func TestScreenFindsItsBlockOnANarrowerTerminal(t *testing.T) {
	var out bytes.Buffer
	width := 80
	s := &Screen{out: &out, size: func() (int, int) { return width, 24 }}
	for _, w := range []int{80, 40} {
		width = w
		if err := s.Draw(busy, Style{}); err != nil {
			t.Fatal(err)
		}
	}
	rows := 0
	for _, l := range busy.Block(80, Style{}) {
		rows += max((utf8.RuneCountInString(l)+39)/40, 1)
	}
	if rows <= 7 || !strings.Contains(out.String(), fmt.Sprintf("\x1b[%dA", rows)) {
		t.Errorf("does not move up by the %d rows that the block takes: %q", rows, out.String())
	}
}

func TestScreenNeverScrollsItsBlockAway(t *testing.T) {
	var out bytes.Buffer
	s := &Screen{out: &out, size: func() (int, int) { return 40, 4 }}
	if err := s.Draw(busy, Style{}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "\r\n"); n != 3 {
		t.Errorf("%d lines on a terminal of 4", n)
	}
}

func TestCutTo(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{{"añb", 3, "añb"}, {"añbc", 3, "añ…"}, {"ab", 1, "…"}, {"ab", 0, ""}, {"", 0, ""}} {
		if got := cutTo(test.text, test.width); got != test.want {
			t.Errorf("%q in %d: %q, want %q", test.text, test.width, got, test.want)
		}
	}
}
