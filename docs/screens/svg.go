package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"time"
	"unicode/utf8"
)

// screen is what a command has printed.
type screen struct {
	command string
	lines   []line
}

type line struct {
	at   time.Duration // since it began
	text string
}

const (
	mostColumns = 132
	mostLines   = 40
	cellWidth   = 7.2
	cellHeight  = 16
	margin      = 14
	pause       = 700 * time.Millisecond // before the first line, to read the command
	longest     = 1500 * time.Millisecond
)

// svg draws it: each line appears when it was printed, but after longest at most; where nothing moves, all are there.
func (s *screen) svg() []byte {
	shown := s.lines
	if len(shown) > mostLines {
		shown = shown[:mostLines]
	}
	width := float64(2*margin) + cellWidth*float64(utf8.RuneCountInString(s.command)+2)
	for _, l := range shown {
		width = max(width, 2*margin+cellWidth*float64(min(utf8.RuneCountInString(l.text), mostColumns)))
	}
	var b bytes.Buffer
	height := 2*margin + cellHeight*(len(shown)+1)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %d" width="%.0f" height="%d" role="img">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, "<title>%s</title>\n", escaped(s.command))
	b.WriteString(`<style>
  rect { fill: #16181d } text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; fill: #d7dae0; white-space: pre }
  .c { fill: #8bd5a0 }
  @media (prefers-reduced-motion: no-preference) { .l { opacity: 0; animation: show 1ms forwards } }
  @keyframes show { to { opacity: 1 } }
</style>
`)
	fmt.Fprintf(&b, `<rect width="%.0f" height="%d" rx="6"/>`+"\n", width, height)
	fmt.Fprintf(&b, `<text class="c" x="%d" y="%d">$ %s</text>`+"\n", margin, margin+cellHeight-4, escaped(s.command))
	at, before := pause, time.Duration(0)
	for i, l := range shown {
		at, before = at+min(l.at-before, longest), l.at
		text := []rune(l.text)
		if len(text) > mostColumns {
			text = append(text[:mostColumns-1:mostColumns-1], '…')
		}
		fmt.Fprintf(&b, `<text class="l" style="animation-delay: %.2fs" x="%d" y="%d">%s</text>`+"\n", at.Seconds(), margin, margin+cellHeight*(i+2)-4, escaped(string(text)))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

func escaped(text string) string {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.String()
}
