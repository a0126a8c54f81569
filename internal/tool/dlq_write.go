package tool

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/dryrun"
	"github.com/millrace-io/millrace/internal/letters"
	"github.com/millrace-io/millrace/internal/preview"
	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// letterGroup is letters of one stream that were refused at one step for one kind of reason.
type letterGroup struct {
	Stream string    `json:"stream"`
	Stage  string    `json:"stage"`
	Step   string    `json:"step"`
	State  string    `json:"state"`  // open, or what has become of them
	Reason string    `json:"reason"` // of the last
	Count  int       `json:"count"`
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Key    string    `json:"key"` // of the last
}

// letterGroups groups letters. The zero value is ready.
type letterGroups struct {
	groups map[[5]string]*letterGroup
}

func (g *letterGroups) add(stream string, l *letters.Letter) {
	if g.groups == nil {
		g.groups = map[[5]string]*letterGroup{}
	}
	id := [5]string{stream, l.Stage, l.Step, stage.ReasonKind(l.Reason), outcome(l)}
	of := g.groups[id]
	at := l.Record.Timestamp.UTC()
	if of == nil {
		of = &letterGroup{Stream: stream, State: outcome(l), Stage: l.Stage, Step: l.Step, First: at}
		g.groups[id] = of
	}
	of.Count++
	if at.Before(of.First) {
		of.First = at
	}
	if !at.Before(of.Last) {
		of.Last, of.Reason, of.Key = at, l.Reason, string(l.Record.Key)
	}
}

// outcome is what has become of a refused record.
func outcome(l *letters.Letter) string {
	if l.Closed == nil {
		return "open"
	}
	return string(l.Closed.Outcome)
}

// sorted are the groups, of each stream the largest first.
func (g *letterGroups) sorted() []*letterGroup {
	out := make([]*letterGroup, 0, len(g.groups))
	for _, of := range g.groups {
		out = append(out, of)
	}
	slices.SortFunc(out, func(a, b *letterGroup) int {
		return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(b.Count, a.Count), cmp.Compare(a.Step, b.Step), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}

// groupWriter returns what writes groups in the format of that name.
func groupWriter(output string) (func(io.Writer, []*letterGroup) error, error) {
	switch output {
	case "table":
		return writeGroups, nil
	case "json":
		return func(out io.Writer, groups []*letterGroup) error { return writeJSON(out, groups) }, nil
	}
	return nil, &cli.UsageError{Err: fmt.Errorf("--output: %q; want table or json", output)}
}

func writeGroups(out io.Writer, groups []*letterGroup) error {
	if len(groups) == 0 {
		_, err := fmt.Fprintln(out, "no letter is open")
		return err
	}
	lines := []string{"STREAM\tSTAGE\tSTEP\tSTATE\tCOUNT\tFIRST\tLAST\tLATEST KEY\tLATEST REASON"}
	for _, g := range groups {
		lines = append(lines, strings.Join([]string{
			g.Stream, g.Stage, g.Step, g.State, fmt.Sprint(g.Count), g.First.Format(time.RFC3339), g.Last.Format(time.RFC3339), oneLine(g.Key, 40), oneLine(g.Reason, 200),
		}, "\t"))
	}
	return writeTable(out, lines)
}

// oneLine is text on one line of at most so many characters.
func oneLine(text string, most int) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most-1]) + "…"
}

// writeLetter writes one line of JSON.
func writeLetter(out io.Writer, x shownLetter) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	return e.Encode(x)
}

// stepsOf are the raw record of a letter after each step of the file that lets it through; none, if it was not a step
// that refused it.
func stepsOf(d *dryrun.Stream, l *letters.Letter) (all []preview.Step) {
	if l.Stage != "processor" || l.Record.Value == nil {
		return nil
	}
	headers, _ := topics.ParseRawHeaders(l.Record)
	made := d.Apply(dryrun.Record{Value: l.Record.Value, Key: l.Record.Key, Slice: headers.Slice, Source: headers.Source})
	for _, t := range made.Trace {
		all = append(all, preview.Step{Step: t.Label, Value: t.Value})
	}
	return all
}

// shown is a letter as JSON.
func shown(stream string, l *letters.Letter) shownLetter {
	x := shownLetter{
		l.Record.Timestamp.UTC(), stream, l.Stage, l.Step, l.Reason, l.Attempt, l.Generation,
		l.Origin.ID, outcome(l), nil, string(l.Record.Key), valueOf(l.Record.Value), nil,
	}
	if c := l.Closed; c != nil {
		x.Closed = &shownClosing{c.At, c.By, c.Why}
	}
	return x
}

// shownLetter is a letter as JSON.
type shownLetter struct {
	Time       time.Time      `json:"time"`
	Stream     string         `json:"stream"`
	Stage      string         `json:"stage"`
	Step       string         `json:"step"`
	Reason     string         `json:"reason"`
	Attempt    int            `json:"attempt"`
	Generation uint16         `json:"generation"`
	ID         string         `json:"id"` // stage:topic:epoch:partition:offset of the origin
	State      string         `json:"state"`
	Closed     *shownClosing  `json:"closed,omitempty"`
	Key        string         `json:"key"`
	Value      any            `json:"value"`
	Steps      []preview.Step `json:"steps,omitempty"` // the record after each step of the file as it is now
}

type shownClosing struct {
	At  time.Time `json:"at"`
	By  string    `json:"by,omitempty"`
	Why string    `json:"why,omitempty"`
}
