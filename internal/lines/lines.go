package lines

import (
	"fmt"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// Of returns a line of a stream as a pipeline with this one stream, by what is decided about the stream: the base line is p itself,
// with the table that it has now. s is of p's control topic. A line has the logic with which it began, and what its own control
// topic says has come after that. The live line has the logic of the file, if no line, and no generation of the base line, has or
// had it: somebody has edited the file since. The error says that there is no such line, or that its logic is not of this version or
// names a secret that the file does not.
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
	if number != s.LiveNumber() || s.Knows(logic) || s.LineOf(logic) != nil {
		if file, err = file.Defined(l.Definition); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
	}
	return topics.LineOf(p, file, number, s.LineTable(number)), nil
}
