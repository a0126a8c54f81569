package demo

import (
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// Codes of ECMA-48 and its usual extensions. Terminals that do not know synchronised updates ignore them.
const (
	hideCursor  = "\x1b[?25l"
	showCursor  = "\x1b[?25h"
	beginUpdate = "\x1b[?2026h"
	endUpdate   = "\x1b[?2026l"
	eraseToEnd  = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// Screen draws a block of lines over itself. It must not be used concurrently, and nothing else may write
// to the terminal between Draw and Close.
type Screen struct {
	out    io.Writer
	size   func() (width, height int)
	drawn  []int // columns of the lines that are on the terminal
	hidden bool  // the cursor is
}

// NewScreen returns a screen on f, or nil if f is no terminal that can redraw.
func NewScreen(f *os.File) *Screen {
	if !term.IsTerminal(int(f.Fd())) || os.Getenv("TERM") == "dumb" {
		return nil
	}
	return &Screen{out: f, size: func() (int, int) {
		width, height, err := term.GetSize(int(f.Fd()))
		if err != nil || width < 1 || height < 1 {
			return 80, 24
		}
		return width, height
	}}
}

// Color says whether a terminal may be coloured: https://no-color.org.
func Color() bool { return os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb" }

// Draw replaces the block on the terminal by s, in one write.
func (s *Screen) Draw(state State, style Style) error {
	width, height := s.size()
	lines := state.Block(width, style)
	lines = lines[:min(len(lines), max(height-1, 1))] // a line that has scrolled away cannot be drawn over
	var b strings.Builder
	b.WriteString(beginUpdate)
	if !s.hidden {
		b.WriteString(hideCursor)
		s.hidden = true
	}
	b.WriteString("\r")
	if up := s.rows(width); up > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", up)
	}
	s.drawn = s.drawn[:0]
	for i, l := range state.Block(width, Style{})[:len(lines)] {
		b.WriteString(lines[i] + eraseToEnd + "\r\n")
		s.drawn = append(s.drawn, utf8.RuneCountInString(l))
	}
	b.WriteString(eraseBelow + endUpdate)
	_, err := io.WriteString(s.out, b.String())
	return err
}

// rows is how many rows of the terminal the block takes: lines that were drawn on a wider one are wrapped now.
func (s *Screen) rows(width int) (n int) {
	for _, columns := range s.drawn {
		n += max((columns+width-1)/width, 1)
	}
	return n
}

// Close leaves the block as it is and gives the cursor back. The screen can be drawn on again, below.
func (s *Screen) Close() error {
	s.drawn = nil
	if !s.hidden {
		return nil
	}
	s.hidden = false
	_, err := io.WriteString(s.out, showCursor)
	return err
}
