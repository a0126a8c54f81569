package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Marks age only while the records that they are kept against can come: an outage of the processor, however long, ages
// none. So each hour, by the database's clock, in which a stream had caught up has a row in millrace_caught_up, and a
// mark is old once as many of these hours have passed as its retention has.

// caughtUpWithin is how old the end of a raw topic may be when all before it is in the table, for the stream to have
// caught up.
const caughtUpWithin = 10 * time.Minute

// goal is an end of a stream's topics that is to be reached. It is for one goroutine.
type goal struct {
	since     time.Time
	noted     time.Time       // the hour in which it was reached; then the rest counts for nothing
	raw       map[int32]int64 // ends of the raw topic's partitions
	processed map[int32]int64 // those of the processed topic, once the processor was past raw; nil before
}

// noteCaughtUp notes for each stream whether what was in its raw topic a while ago is in its table by now. goals are
// kept from one call to the next.
func (s *Sink) noteCaughtUp(ctx context.Context, goals map[string]*goal) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	written, err := s.Positions(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	hour := now.Truncate(time.Hour)
	var errs []error
	for topic, t := range s.tables.all() {
		g := goals[topic]
		if g != nil && g.noted.Equal(hour) {
			continue
		}
		if g == nil || !g.noted.IsZero() || now.Sub(g.since) > caughtUpWithin {
			g = &goal{since: now}
			goals[topic] = g
		}
		reached, err := s.reach(ctx, g, t.Stream, topic, written[topic])
		if err == nil && reached {
			g.noted = hour
			_, err = s.store.db.ExecContext(ctx, s.store.statements.CaughtUp, topic)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", topic, err))
		}
	}
	return errors.Join(errs...)
}

// reach goes on towards a goal of a stream, from where the sink stood a moment ago, and says whether it is reached.
func (s *Sink) reach(ctx context.Context, g *goal, stream, processed string, written map[int32]int64) (past bool, err error) {
	raw := topics.RawOf(s.pipeline, stream)
	if g.raw == nil {
		if g.raw, err = admin.Ends(ctx, s.adm, raw); err != nil {
			return false, err
		}
	}
	if g.processed == nil {
		decided := map[string]*control.Stream{raw: s.view.Stream(stream)}
		next, err := control.Next(ctx, s.client, topics.ProcessorGroup(s.pipeline.Name), decided)
		if err != nil {
			return false, err
		}
		if past, err := s.past(ctx, raw, next[raw], g.raw); err != nil || !past {
			return false, err
		}
		if g.processed, err = admin.Ends(ctx, s.adm, processed); err != nil {
			return false, err
		}
	}
	at := map[int32]int64{}
	for partition := range g.processed {
		at[partition] = -1
		if offset, ok := written[partition]; ok {
			at[partition] = offset
		}
	}
	return s.past(ctx, processed, at, g.processed)
}

// past reports whether next offsets are at their goals, or have no record before the end of their partition: markers of
// transactions may be all there is.
func (s *Sink) past(ctx context.Context, topic string, at, goals map[int32]int64) (bool, error) {
	before := map[int32]int64{}
	for partition, end := range goals {
		if at[partition] < end {
			before[partition] = at[partition]
		}
	}
	if len(before) == 0 {
		return true, nil
	}
	n, err := admin.Remaining(ctx, s.client, map[string]map[int32]int64{topic: before})
	return err == nil && n == 0, err
}

// prune removes at most dialect.PruneAtOnce of the marks of a processed topic's stream that are older than their
// retention. It returns how many: none during a redo of a stream of this name, whichever line or pipeline it is of.
func (s *store) prune(ctx context.Context, topic string, t *rows.Table) (removed int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	before, err := s.old(ctx, topic, t)
	if err != nil || before == "" {
		return 0, err
	}
	result, err := s.db.ExecContext(ctx, s.statements.PruneMarks, t.Stream, before, t.Stream)
	if err != nil {
		return 0, err
	}
	if removed, err = result.RowsAffected(); err == nil && removed < dialect.PruneAtOnce {
		_, err = s.db.ExecContext(ctx, "DELETE FROM millrace_caught_up WHERE topic = ? AND hour < ?", topic, before)
	}
	return removed, err
}

// old is the hour before which the marks of a stream are too old; empty: none are yet. Of pipelines that have a stream
// of the same name in this database, the one that has caught up least decides: a mark does not tell whose it is.
func (s *store) old(ctx context.Context, topic string, t *rows.Table) (before string, err error) {
	all, err := s.sharing(ctx, t.Stream)
	if err != nil {
		return "", err
	}
	if !slices.Contains(all, topic) {
		all = append(all, topic)
	}
	hours := int((s.cfg.MarkRetention + time.Hour - 1) / time.Hour)
	for _, one := range all {
		var hour string
		err := s.db.QueryRowContext(ctx, "SELECT hour FROM millrace_caught_up WHERE topic = ? ORDER BY hour DESC LIMIT 1 OFFSET ?", one, hours).Scan(&hour)
		if errors.Is(err, sql.ErrNoRows) {
			return "", nil // not for so long yet
		}
		if err != nil {
			return "", err
		}
		if before == "" || hour < before {
			before = hour
		}
	}
	return before, nil
}

// sharing are the processed topics of streams of a name.
func (s *store) sharing(ctx context.Context, stream string) (all []string, err error) {
	found, err := s.db.QueryContext(ctx, "SELECT DISTINCT topic FROM millrace_offsets WHERE topic LIKE ?", topics.Processed("%", stream))
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var topic string
		if err := found.Scan(&topic); err != nil {
			return nil, err
		}
		all = append(all, topic)
	}
	return all, found.Err()
}
