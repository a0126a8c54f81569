package ingest

import (
	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// A cursor says which raw topic has what was fetched up to it. If the raw topic is another one now, what was fetched is
// gone: the slice begins again, and nothing counts as written. That is committed with the first page, so that a death
// before it is a death before the topic was looked at.
//
// The id in a cursor is the one that was known when its partition was claimed. A transaction that was begun then and
// still reaches the topic that follows leaves the id of the one before, and all is fetched once more. So an id may be
// too old, and never too new.

// sameTopic is c, or c at the start if it is of another raw topic than there is now; begun reports which. A cursor that
// does not say, as of a version of millrace that kept no ids, goes on.
func (in *Ingest) sameTopic(s *pipeline.Stream, c cursor.Cursor) (now cursor.Cursor, begun bool) {
	topic := topics.Raw(in.p.Name, s.Name)
	id := in.topics.ID(topic)
	if id == "" || c.Raw == id || c.Version == 0 {
		return c, false
	}
	if c.Raw != "" {
		if c, begun = c.Back(c.Pass, c.Kind, "", nil, c.Oldest), true; in.newTopic(s.Name, id) {
			in.env.Log.Warn("the raw topic is not the one that has what was fetched before: everything is fetched again. "+
				"Rows of what the API no longer shows stay until a sweep", "stream", s.Name, "topic", topic, "next", in.sweep(s.Name))
		}
	}
	c.Raw = id
	return c, begun
}

// newTopic reports whether nobody was told yet that the raw topic of a stream has this id.
func (in *Ingest) newTopic(stream, id string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.told[stream] == id {
		return false
	}
	in.told[stream] = id
	return true
}

// recreated has the slices of a stream begin again, after its raw topic was recreated; it says so, for people. It
// returns an empty text if the topic is no stream's raw topic.
func (in *Ingest) recreated(topic string) (then string) {
	for _, s := range in.p.Streams {
		if topics.Raw(in.p.Name, s.Name) != topic {
			continue
		}
		in.newTopic(s.Name, in.topics.ID(topic))
		in.decisions.lookAgain(s.Name)
		for _, child := range in.p.Streams {
			if of := child.Ingest.ForEach; of != nil && of.Parent == s.Name {
				in.decisions.lookAgain(child.Name)
			}
		}
		return "everything is fetched again. Rows of what the API no longer shows stay until `" + in.sweep(s.Name) + "`"
	}
	return ""
}

// sweep is the command that deletes rows of what the API no longer shows.
func (in *Ingest) sweep(stream string) string { return in.env.Command("reset", stream, "--sweep") }
