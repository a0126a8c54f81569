package file

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/internal/expression"
	"github.com/millrace-io/millrace/processor/plan"
)

// expressionProblem reports what is wrong with an expression, at its place in the file as nearly as it is known.
func (d *decoder) expressionProblem(t *text, err error) {
	if unknown, ok := errors.AsType[*plan.UnknownError](err); ok {
		name, hint := quote(unknown.Name), didYouMean(unknown.Name, unknown.Known, "it makes")
		if t.refs {
			name, hint = "a name in it", ""
		}
		if hint != "" && slices.ContainsFunc(expression.Words(t.s), func(w expression.Word) bool { return w.Name == unknown.Name }) {
			hint = strings.TrimSuffix(hint, "?") + fmt.Sprintf("; or, if it is a text: it is written in quotes, %s", name)
		}
		d.reportf(t.place, hint, "%s is not there any more: the map before it makes only what it names", name)
		return
	}
	if t.refs { // the text of the error may quote what the reference stands for
		d.reportf(t.place, "", "with its references resolved, this is not an expression")
		return
	}
	var e *expression.Error
	if !errors.As(err, &e) {
		d.reportf(t.place, "", "%v", err)
		return
	}
	if lines, columns, ok := d.offset(t.node, e.Line, e.Column); ok {
		d.reportAt(t.node, lines, columns, t.path, e.Hint, e.Message)
		return
	}
	d.reportf(t.place, e.Hint, "line %d, column %d of the expression: %s", e.Line, e.Column, e.Message)
}

// offset says where line and column of a value, both from 1, are in the file, beyond the start of its node. Folded and
// escaped text has no such place in general, so what is found must be the very text.
func (d *decoder) offset(n *yaml.Node, line, column int) (lines, columns int, ok bool) {
	value := strings.Split(n.Value, "\n")
	if line > len(value) || n.Line+line-1 > len(d.lines) {
		return 0, 0, false
	}
	want, skip := value[line-1], 0
	indent := n.Column - 1
	switch {
	case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
		lines = line // the text begins below its indicator
		if n.Line+lines > len(d.lines) {
			return 0, 0, false
		}
		got := strings.TrimRight(d.lines[n.Line+lines-1], "\r")
		indent = len([]rune(strings.TrimSuffix(got, want)))
		skip = indent - (n.Column - 1)
	case line > 1:
		return 0, 0, false
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0:
		indent, skip = indent+1, 1
	}
	got := []rune(d.lines[n.Line+lines-1])
	if indent > len(got) || !strings.HasPrefix(string(got[indent:]), want) {
		return 0, 0, false
	}
	return lines, skip + column - 1, true
}
