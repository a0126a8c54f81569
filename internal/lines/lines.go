package lines

import (
	"fmt"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// Of returns a line of a stream as a pipeline with this one stream, by what is decided about the stream: the base line
// is p itself, with the table that it has now. s is of p's control topic. A line has the logic with which it began, and
// what its own control topic says has come after that. The live line has the logic of the file, if no line, and no
// generation of the base line, has or had it: somebody has edited the file since. The error says that there is no such
// line, or that its logic is not of this version or names a secret that the file does not.
func Of(p *pipeline.Pipeline, stream string, s *control.Stream, number uint16) (*pipeline.Pipeline, error) {
	chosen, err := p.Choose([]string{stream})
	if err != nil {
		return nil, err
	}
	file := chosen[0]
	if number == control.BaseLine {
		out, base := *p, *file
		base.Sink.As = s.LineTable(number)
		out.Streams = []pipeline.Stream{base}
		return &out, nil
	}
	l := s.Line(number)
	if l == nil || l.State == control.LineDropped {
		return nil, fmt.Errorf("stream %s: it has no line %d", stream, number)
	}
	logic, _ := file.Logic()
	if other := s.LineOf(logic); number != s.LiveNumber() || s.Knows(logic) || other != nil && other.Number != number {
		if file, err = file.Defined(l.Definition); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return topics.LineOf(p, file, number, s.LineTable(number)), nil
}

// Running are the lines of a stream that stages run, the live one first.
func Running(p *pipeline.Pipeline, stream string, s *control.Stream) ([]*pipeline.Pipeline, error) {
	numbers := []uint16{s.LiveNumber()}
	for _, l := range s.Lines {
		if l.State.Runs() && l.Number != numbers[0] {
			numbers = append(numbers, l.Number)
		}
	}
	var out []*pipeline.Pipeline
	for _, number := range numbers {
		line, err := Of(p, stream, s, number)
		if err != nil {
			return nil, err
		}
		out = append(out, line)
	}
	return out, nil
}

// OtherError says that a file has the logic of a line that is not live.
type OtherError struct {
	Stream string
	Line   uint16            // that has it
	State  control.LineState // that it is in
	Live   uint16            // the live line
	File   string            // the pipeline file, for the command that is told; empty: FILE stands for it
}

func (e *OtherError) Error() string {
	return fmt.Sprintf("stream %s: the file has the logic of line %d (%s), and line %d is live: `%s` changes which is; "+
		"else run it with the file of the live line", e.Stream, e.Line, e.State, e.Live, e.next())
}

// next is the command that makes the file's logic the live one.
func (e *OtherError) next() string {
	env := stage.Env{File: e.File}
	switch {
	case !e.State.Runs():
		return env.Command("replay", e.Stream, "--shadow")
	case e.Line < e.Live:
		return env.Command("replay rollback", e.Stream)
	}
	return env.Command("replay swap", e.Stream)
}

// Decides returns an *[OtherError] if the pipeline file at a path does not decide about the logic of the live line: see
// [Of].
func Decides(path string, p *pipeline.Pipeline, stream string, s *control.Stream) error {
	live := s.LiveNumber()
	logic, _ := p.Stream(stream).Logic()
	if l := s.LineOf(logic); l != nil && l.Number != live && (live != control.BaseLine || l.State.Runs()) {
		return &OtherError{stream, l.Number, l.State, live, path}
	}
	if live != control.BaseLine && s.Knows(logic) {
		return &OtherError{stream, control.BaseLine, s.Line(control.BaseLine).State, live, path}
	}
	return nil
}
