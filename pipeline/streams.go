package pipeline

import (
	"fmt"
	"slices"
)

// Stream returns the stream of that name, or nil.
func (p *Pipeline) Stream(name string) *Stream {
	for i := range p.Streams {
		if p.Streams[i].Name == name {
			return &p.Streams[i]
		}
	}
	return nil
}

// Choose returns the streams of those names, in the order of the file; all if names is nil. Its error names a stream
// that the pipeline does not have, and those that it has.
func (p *Pipeline) Choose(names []string) ([]*Stream, error) {
	for _, name := range names {
		if p.Stream(name) == nil {
			var known []string
			for _, s := range p.Streams {
				known = append(known, s.Name)
			}
			return nil, fmt.Errorf("the pipeline %s has no stream %q; it has %q", p.Name, name, known)
		}
	}
	var chosen []*Stream
	for i := range p.Streams {
		if s := &p.Streams[i]; names == nil || slices.Contains(names, s.Name) {
			chosen = append(chosen, s)
		}
	}
	return chosen, nil
}
