package tool

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/internal/letters"
)

// What an editor is given: a record begins with a line of its letter's id, and lines that begin with # are comments.
const recordMark = "--- "

const editHead = `# Edit the records below, as the API should have sent them. Lines that begin with # are ignored.
# A record that is not changed, or whose lines are deleted, stays as it is. Its key cannot be changed.
# An edited record is written to the raw topic behind the others, and processed as it comes.
`

// text is what the editor is given.
func (e *editable) text(values map[string]string, problems []string) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "# error: %s\n", oneLine(p, 500))
	}
	b.WriteString(editHead)
	for _, l := range e.letters {
		var pretty bytes.Buffer
		if text, ok := values[l.Origin.ID]; ok {
			pretty.WriteString(text)
		} else if json.Indent(&pretty, l.Record.Value, "", "  ") != nil {
			pretty.Write(l.Record.Value)
		}
		fmt.Fprintf(&b, "\n# key %s, refused at %s, attempt %d:\n#   %s\n%s%s\n%s\n", oneLine(string(l.Record.Key), 200), l.Step, l.Attempt,
			oneLine(l.Reason, 500), recordMark, l.Origin.ID, strings.TrimSpace(pretty.String()))
	}
	return b.String()
}

// again is a text that has problems, with these above it.
func (*editable) again(text string, problems []string) string {
	var b strings.Builder
	for _, p := range problems {
		fmt.Fprintf(&b, "# error: %s\n", oneLine(p, 500))
	}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "# error: ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// parse reads what the editor gave back: records by the id of their letter, and what is wrong with those that were
// changed.
func (e *editable) parse(text string) (values map[string][]byte, problems []string) {
	texts := map[string]*strings.Builder{}
	var of *strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		id, begins := strings.CutPrefix(strings.TrimRight(line, "\r\n"), recordMark)
		switch {
		case begins && texts[id] != nil:
			problems = append(problems, fmt.Sprintf("there are two records of the letter %s", id))
		case begins:
			of = &strings.Builder{}
			texts[id] = of
		case of != nil:
			of.WriteString(line)
		case strings.TrimSpace(line) != "":
			problems = append(problems, "there is text before the first record: "+oneLine(line, 80))
		}
	}
	values = map[string][]byte{}
	known := map[string]*letters.Letter{}
	for _, l := range e.letters {
		known[l.Origin.ID] = l
	}
	for id := range texts {
		if known[id] == nil {
			problems = append(problems, fmt.Sprintf("there is no letter %s among those that were given", id))
		}
	}
	for _, l := range e.letters {
		b := texts[l.Origin.ID]
		if b == nil {
			continue
		}
		value := []byte(strings.TrimSpace(b.String()))
		if same(value, l.Record.Value) {
			continue
		}
		if err := e.check(l, value); err != nil {
			problems = append(problems, fmt.Sprintf("key %s: %v", l.Record.Key, err))
		}
		values[l.Origin.ID] = value
	}
	return values, problems
}

// changed are the edits, in the order of the letters.
func (e *editable) changed(values map[string][]byte) (edits []letters.Edit) {
	for _, l := range e.letters {
		value, ok := values[l.Origin.ID]
		if !ok {
			continue
		}
		var compact bytes.Buffer
		if json.Compact(&compact, value) != nil {
			continue // it was checked
		}
		edits = append(edits, letters.Edit{ID: l.Origin.ID, Value: compact.Bytes()})
	}
	return edits
}

// same reports whether two texts are the same JSON but for space.
func same(a, b []byte) bool {
	var x, y bytes.Buffer
	return json.Compact(&x, a) == nil && json.Compact(&y, b) == nil && bytes.Equal(x.Bytes(), y.Bytes())
}
