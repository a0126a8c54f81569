package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// errRecreated says that a processed topic is another one than the group was joined for.
var errRecreated = errors.New("a processed topic was recreated")

// looksEvery is the time between two looks at the topics while no error speaks of one: a group whose topic is deleted
// assigns nothing.
const looksEvery = 20 * time.Second

// unknownTopic reports whether a broker or the client does not know a topic, or not by its id.
func unknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicID) || errors.Is(err, kerr.UnknownTopicOrPartition)
}

// watched are the topics of the streams that run here: what is read, and where letters go.
func (s *Sink) watched() []topics.Spec {
	used := map[string]bool{}
	for topic, t := range s.tables.all() {
		used[topic], used[s.letters(t.Stream)] = true, true
	}
	var out []topics.Spec
	for _, spec := range topics.Specs(s.pipeline) {
		if used[spec.Topic] {
			out = append(out, spec)
		}
	}
	return out
}

// look looks at the topics where an error speaks of one, and now and then. It is the loop's.
func (s *Sink) look(ctx context.Context) error {
	if !s.suspect.Swap(false) && time.Now().Before(s.nextLook) {
		return nil
	}
	err := s.renew(ctx)
	s.nextLook = time.Now().Add(looksEvery)
	if err != nil {
		return fmt.Errorf("sink: %w", err)
	}
	return nil
}

// renew looks whether topics were deleted or recreated, and tells of those. What is missing is made again. It returns
// errRecreated if a processed topic is another one, which a new client has to join for; its stream then waits for an
// operator, since its position is of the old one. A topic of letters is known by its new id from here on.
func (s *Sink) renew(ctx context.Context) (err error) {
	looking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	changes, failed := s.topics.Look(looking, s.adm)
	for _, c := range changes {
		s.env.Log.Warn(c.String(), "topic", c.Topic)
		if s.tables.of(c.Topic) != nil {
			err = errRecreated
			continue
		}
		s.client.PurgeTopicsFromProducing(c.Topic)
	}
	if admin.NeedsOperator(failed) {
		return failed
	}
	if failed != nil && ctx.Err() == nil {
		s.waits.On("Kafka", "topics", failed)
	} else {
		s.waits.Done("Kafka", "topics")
	}
	return err
}
