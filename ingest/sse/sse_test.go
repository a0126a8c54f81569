package sse_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace-io/millrace/ingest/sse"
)

// events reads all events, as "id|type|data"; data that is not there is "-".
func events(r io.Reader, id string, most int) (out []string, reader *sse.Reader, err error) {
	reader = sse.NewReader(r, id, most)
	for {
		e, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return out, reader, nil
		}
		if err != nil {
			return out, reader, err
		}
		data := "-"
		if e.Data != nil {
			data = string(e.Data)
		}
		out = append(out, fmt.Sprintf("%s|%s|%s", e.ID, e.Type, data))
	}
}

// TestEvents: the examples of the standard, and what it says of odd lines.
func TestEvents(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"lines of data":          {"data: YHOO\ndata: +2\ndata: 10\n\n", []string{"||YHOO\n+2\n10"}},
		"a comment and ids":      {": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", []string{"1||first event", "||second event", "|| third event"}},
		"empty data":             {"data\n\ndata:\ndata:\n\ndata:", []string{"||", "||\n"}}, //nolint:dupword // as the format has it
		"one blank is left out":  {"data:test\n\ndata: test\n\n", []string{"||test", "||test"}},
		"types":                  {"event: add\ndata: 1\n\ndata: 2\n\n", []string{"|add|1", "||2"}},
		"every end of a line":    {"\ufeffdata: 1\r\n\r\ndata: 2\r\rdata: 3\n\n", []string{"||1", "||2", "||3"}},
		"an id alone":            {"id: 5\n\nid: 5\n\ndata: x\n\n", []string{"5||-", "5||x"}},
		"an id with a zero byte": {"id: a\x00b\ndata: x\n\n", []string{"||x"}},
		"what is not whole":      {"data: x\n\ndata: y\n", []string{"||x"}},
		"a field that is none":   {"foo: bar\ndata: x\n\n", []string{"||x"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.text), iotest.OneByteReader(strings.NewReader(c.text))} {
				got, _, err := events(r, "", 1000)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestIDGoesOn(t *testing.T) {
	got, r, err := events(strings.NewReader("retry: 1500\ndata: x\n\nretry: soon\nid: 8\ndata: y\n\n"), "7", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"7||x", "8||y"}, got); d != "" {
		t.Error(d)
	}
	if r.Retry() != 1500*time.Millisecond {
		t.Errorf("retry %s", r.Retry())
	}
	if _, r, _ := events(strings.NewReader(""), "", 10); r.Retry() >= 0 {
		t.Errorf("retry %s, and none was asked for", r.Retry())
	}
}

func TestTooLarge(t *testing.T) {
	for _, text := range []string{"data: " + strings.Repeat("x", 200), strings.Repeat("data: 0123456789\n", 20), "data: " + strings.Repeat("x", 200) + "\n\n"} {
		if _, _, err := events(strings.NewReader(text), "", 100); !errors.As(err, new(*sse.TooLargeError)) {
			t.Errorf("%.20q: error %v", text, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add("data: x\r\nid: 1\r\n\r\n: c\n\nevent: e\ndata\n\n")
	f.Fuzz(func(t *testing.T, text string) {
		whole, _, err1 := events(strings.NewReader(text), "", 100)
		bytes, _, err2 := events(iotest.OneByteReader(strings.NewReader(text)), "", 100)
		if d := cmp.Diff(whole, bytes); d != "" || (err1 == nil) != (err2 == nil) {
			t.Errorf("%v, %v: %s", err1, err2, d)
		}
	})
}
