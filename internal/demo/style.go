package demo

import "strings"

// Style says which control codes a text may have.
type Style struct{ Color bool }

// line is a line of text in segments of one style each.
type line []segment

type segment struct {
	text                  string
	bold, dim, good, warn bool
	whole                 bool // left out, with all that follows, where it does not fit
}

const reset = "\x1b[0m"

func (s segment) code() string {
	switch {
	case s.bold:
		return "\x1b[1m"
	case s.dim:
		return "\x1b[2m"
	case s.good:
		return "\x1b[32m"
	case s.warn:
		return "\x1b[33m"
	}
	return ""
}

// render is l with its codes, cut to width columns. All texts here have one column a rune.
func (l line) render(width int, style Style) string {
	var b strings.Builder
	left := width
	for _, s := range l {
		if s.whole && len([]rune(s.text)) > left {
			break
		}
		text := cutTo(s.text, left)
		left -= len([]rune(text))
		if code := s.code(); style.Color && code != "" && text != "" {
			b.WriteString(code + text + reset)
			continue
		}
		b.WriteString(text)
	}
	return b.String()
}

// plain is l without codes, as wide as it is.
func (l line) plain() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(s.text)
	}
	return b.String()
}

// cutTo is text in at most width columns; the last of them says that there was more.
func cutTo(text string, width int) string {
	runes := []rune(text)
	switch {
	case len(runes) <= width:
		return text
	case width <= 0:
		return ""
	}
	return string(runes[:width-1]) + "…"
}
