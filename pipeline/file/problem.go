package file

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Problem is one thing that is wrong with a pipeline file.
type Problem struct { //nolint:errname // a problem is what a reader calls it; that it is an error too is second
	File    string // as it was given to Load or Parse
	Line    int    // from 1; 0: the file as a whole
	Column  int    // from 1, in characters; 0: not known
	Path    string // of the key, for example streams.orders.process[0].map.total; empty: none
	Text    string // the line of the file, with secrets blotted out
	Message string
	Hint    string // what to do about it; may be empty
}

// Warning is the text of a problem that is only a warning.
func (p Problem) Warning() string {
	p.Message = "warning: " + p.Message
	return p.Error()
}

// Error is the problem with its place, then the line of the file with a caret below the place.
func (p Problem) Error() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": ")
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	if p.Line > 0 && strings.TrimSpace(p.Text) != "" {
		text, column := excerpt(p.Text, p.Column)
		fmt.Fprintf(&b, "\n%6d | %s", p.Line, text)
		if column > 0 {
			fmt.Fprintf(&b, "\n       | %s^", strings.Repeat(" ", column-1))
		}
	}
	return b.String()
}

// Problems is everything that is wrong with a pipeline file, in the order of the file. It is the error of
// [Load] and [Parse].
type Problems []Problem //nolint:errname // as Problem

// Error lists every problem.
func (ps Problems) Error() string {
	out := make([]string, len(ps))
	for i, p := range ps {
		out[i] = p.Error()
	}
	return strings.Join(out, "\n")
}

// Unwrap returns the problems one by one.
func (ps Problems) Unwrap() []error {
	out := make([]error, len(ps))
	for i, p := range ps {
		out[i] = p
	}
	return out
}

// sorted is in the order of the file, each problem once: what several streams inherit is wrong for each of them.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	type place struct {
		line, column int
		message      string
	}
	seen := map[place]bool{}
	return slices.DeleteFunc(ps, func(p Problem) bool {
		k := place{p.Line, p.Column, p.Message}
		defer func() { seen[k] = true }()
		return seen[k]
	})
}

const excerptWidth = 120

// excerpt cuts a long line to what is around the column, which counts in the result then.
func excerpt(line string, column int) (string, int) {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == utf8.RuneError {
			return ' ' // as wide as what it stands for: the caret must meet its place
		}
		return r
	}, strings.TrimRight(line, "\r\n \t"))
	runes := []rune(clean)
	if len(runes) <= excerptWidth {
		return clean, column
	}
	start := min(max(column-excerptWidth/2, 0), len(runes)-excerptWidth)
	cut := string(runes[start : start+excerptWidth])
	column -= start
	if start > 0 {
		cut, column = "…"+cut, column+1
	}
	if start+excerptWidth < len(runes) {
		cut += "…"
	}
	return cut, max(column, 0)
}

// quote shows a value of the file in a message, in short.
func quote(s string) string {
	if r := []rune(s); len(r) > 60 {
		s = string(r[:57]) + "…"
	}
	return fmt.Sprintf("%q", s)
}
