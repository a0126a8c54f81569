package ingest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace-io/millrace/ingest/cursor"
	"github.com/millrace-io/millrace/ingest/known"
	"github.com/millrace-io/millrace/internal/calendar"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// registerAll registers the streams of the pipeline, and notes the chosen ones as this process's to run.
func (in *Ingest) registerAll(chosen []*pipeline.Stream) error {
	var errs []error
	for i := range in.p.Streams {
		s := &in.p.Streams[i]
		run := slices.Contains(chosen, s)
		err := in.register(s, run)
		if of := deletionsOf(s); err == nil && of != nil {
			err = in.register(of, run)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("ingest: stream %s: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}

// register checks that a stream can be fetched, counts its slices, and notes them as this process's to run if run.
func (in *Ingest) register(s *pipeline.Stream, run bool) error {
	scale, err := cursor.NewScale(&s.Ingest)
	if err != nil {
		return err
	}
	found := &seen{stream: s, scale: scale, notices: in.notices}
	if s.Ingest.Webhook != nil {
		in.seen[s] = found
		return nil
	}
	if err := checkRules(&s.Ingest, scale); err != nil {
		return err
	}
	if err := in.checkAccess(s.Ingest.HTTP); err != nil {
		return err
	}
	in.seen[s] = found
	if d := s.Ingest.Deletes; d != nil {
		if s.Ingest.SharesKeys() {
			return errors.New("deletes: a complete read of one slice does not tell what is gone, where slices share keys")
		}
		found.room = known.NewRoom(d.MaxKeys)
	}
	if s.Ingest.ForEach != nil {
		return in.registerFeeds(s, run)
	}
	return in.registerSlices(s, run)
}

// checkIncremental checks what a stream asks for from where it stands.
func checkIncremental(in *pipeline.Ingest, scale cursor.Scale) error {
	i := in.Incremental
	switch {
	case i == nil:
		return nil
	case i.Window != nil && (in.ForEach != nil || in.Deletes != nil || in.Job != nil):
		return errors.New("incremental.window: a stream with for_each, deletes or job has none")
	case i.Window != nil && (i.Window.Step < time.Second || i.Start == ""):
		return errors.New("incremental.window: there is no step of a second or more, or no incremental.start")
	case i.Start == "":
		return nil
	}
	_, err := scale.Parse(i.Start)
	return err
}

// checkRules checks that what a stream says of its positions, its answers, its versions and its times can be followed.
func checkRules(in *pipeline.Ingest, scale cursor.Scale) error {
	if err := checkIncremental(in, scale); err != nil {
		return err
	}
	if _, err := cursor.NewVersions(in); err != nil {
		return err
	}
	if rule := newErrorRule(in.ErrorWhen); rule.err != nil {
		return rule.err
	}
	if _, err := newRules(in); err != nil {
		return err
	}
	if _, err := calendar.New(in); err != nil {
		return err
	}
	_, err := newJobRules(in)
	return err
}

// checkAccess checks that an API can be reached with the credentials given.
func (in *Ingest) checkAccess(h pipeline.HTTP) error {
	transport, err := in.transports.For(h)
	if err != nil {
		return err
	}
	_, err = in.sessions.For(h, transport)
	return err
}

// registerSlices is register for the slices of a stream that is nobody's child.
func (in *Ingest) registerSlices(s *pipeline.Stream, run bool) error {
	names := s.Ingest.SliceNames()
	if s.Ingest.Deletions {
		for i := range names {
			names[i] = deletionsPrefix + names[i]
		}
	}
	in.slicesOf[in.budgets.For(s.Ingest.HTTP)] += len(names)
	for i, name := range names {
		if err := checkRequest(&s.Ingest, name); err != nil {
			return err
		}
		if main := strings.HasPrefix(name, deletionsPrefix) != s.Ingest.Deletions; main || strings.ContainsRune(name, 0) || slices.Contains(names[:i], name) {
			return fmt.Errorf("slices: %q is there twice, holds a NUL, or begins with %q", name, deletionsPrefix)
		}
		if run && (!in.cfg.Once || !continuous(&s.Ingest)) {
			n := topics.Partition([]byte(cursor.Key(s.Name, name)), topics.StatePartitions)
			in.byPartition[n] = append(in.byPartition[n], sliceRef{stream: s, name: name})
		}
	}
	return nil
}

// registerFeeds is register for a child stream: it has a feed for each partition of its parent's raw topic.
func (in *Ingest) registerFeeds(s *pipeline.Stream, run bool) error {
	parent := in.p.Stream(s.Ingest.ForEach.Parent)
	ancestors := in.p.Ancestors(s)
	switch {
	case parent == nil:
		return fmt.Errorf("for_each: there is no stream %q", s.Ingest.ForEach.Parent)
	case parent == s || ancestors[len(ancestors)-1].Ingest.ForEach != nil:
		return fmt.Errorf("for_each: the stream is made from its own records, by way of %q", s.Ingest.ForEach.Parent)
	}
	for _, values := range s.Ingest.Slices.Combinations() {
		if err := checkRequest(&s.Ingest, pipeline.SliceName(append([]string{"1"}, values...)...)); err != nil {
			return err
		}
	}
	in.kids[s] = newKids(in, s)
	in.slicesOf[in.budgets.For(s.Ingest.HTTP)] += int(in.p.Kafka.Partitions)
	for n := range in.p.Kafka.Partitions {
		if run {
			at := topics.FeedPartition(s.Name, n)
			in.byPartition[at] = append(in.byPartition[at], sliceRef{stream: s, name: cursor.FeedKey(s.Name, n), feed: true, partition: n})
		}
	}
	return nil
}
