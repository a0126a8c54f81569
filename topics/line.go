package topics

import "github.com/millrace-io/millrace/pipeline"

// LineOf returns a line of a stream, other than the base line, as a pipeline of its own: it reads the raw topic of p's
// stream, and has topics, groups and transactional ids by the name of [LineName]. It fetches nothing. s is the stream
// with the line's logic; table is the name of its table, empty: the one of s. p stays as it is.
func LineOf(p *pipeline.Pipeline, s *pipeline.Stream, number uint16, table string) *pipeline.Pipeline {
	out, stream := *p, *s
	out.Name, out.Line = LineName(p.Name, s.Name, number), &pipeline.Line{Of: p.Name, Number: number}
	stream.Sink.As = table
	out.Streams = []pipeline.Stream{stream}
	return &out
}

// RawOf is the raw topic of a stream of p, which may be a line.
func RawOf(p *pipeline.Pipeline, stream string) string {
	if p.Line != nil {
		return Raw(p.Line.Of, stream)
	}
	return Raw(p.Name, stream)
}
