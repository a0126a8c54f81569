package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"
)

// texts are those of an SVG, which must be well-formed.
func texts(t *testing.T, svg []byte) string {
	t.Helper()
	var b strings.Builder
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		if x, is := token.(xml.CharData); is {
			b.Write(x)
		}
	}
}

func TestSVG(t *testing.T) {
	s := &screen{command: "millrace init 'a&b'", lines: []line{{time.Second, "<one> & “two”"}, {time.Hour, strings.Repeat("x", 200)}}}
	svg := s.svg()
	got := texts(t, svg)
	for _, want := range []string{"$ millrace init 'a&b'", "<one> & “two”", strings.Repeat("x", mostColumns-1) + "…"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in %s", want, got)
		}
	}
	for _, want := range []string{"animation-delay: 1.70s", "animation-delay: 3.20s"} { // an hour is not waited for
		if !strings.Contains(string(svg), want) {
			t.Errorf("no %q in %s", want, svg)
		}
	}
}

// TestPublished: what README.md shows was drawn from the program, and ended well.
func TestPublished(t *testing.T) {
	for name, want := range map[string]string{"../demo.svg": "every row and every value: equal.", "../init.svg": "next: millrace preview quakes.yaml"} {
		svg, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := texts(t, svg); !strings.Contains(got, want) {
			t.Errorf("%s has no %q: make screens draws it again", name, want)
		}
	}
}
