package ingest

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
)

// errRecreated says that the state topic is another one than the group was joined for.
var errRecreated = errors.New("the state topic was recreated")

// looksEvery is the time between two looks at the topics while nothing fails: a stream that rests meets no error.
const looksEvery = 20 * time.Second

// unknownTopic reports whether a broker or the client does not know a topic, or not by its id.
func unknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition)
}

// written are the topics that ingest writes to.
func (in *Ingest) written() []topics.Spec {
	used := map[string]bool{topics.IngestState(in.p.Name): true}
	for _, s := range in.p.Streams {
		used[topics.Raw(in.p.Name, s.Name)], used[in.letters(s.Name)] = true, true
	}
	return slices.DeleteFunc(topics.Specs(in.p), func(s topics.Spec) bool { return !used[s.Topic] })
}

// renew looks whether topics were deleted or recreated, and tells of those. What is missing is made again. It returns
// whether there was any, and errRecreated if the state topic is another one: then nothing that is known of any
// partition counts any more.
func (in *Ingest) renew(ctx context.Context) (changed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	changes, err := in.topics.Look(ctx, in.adm)
	for _, c := range changes {
		then := in.recreated(c.Topic)
		switch {
		case then != "":
		case c.Topic != topics.IngestState(in.p.Name):
			then = "ingest continues where its cursors are, and does not fetch again what the topic held"
		default:
			then, err = "the cursors are gone with it, and every stream is fetched from its start again", errRecreated
		}
		in.env.Log.Warn(c.String()+"; "+then, "topic", c.Topic)
	}
	return len(changes) > 0, err
}

// watch looks at the topics until ctx ends.
func (m *member) watch(ctx context.Context) {
	const who = "topics"
	defer m.in.waits.Drop(who)
	for stage.Sleep(ctx, looksEvery) == nil {
		switch _, err := m.in.renew(ctx); {
		case errors.Is(err, errRecreated):
			m.leave(err)
		case err != nil && ctx.Err() == nil:
			m.in.waits.On(kafka, who, err)
		default:
			m.in.waits.Done(kafka, who)
		}
	}
}
