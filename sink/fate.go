package sink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// write makes one attempt to write j, and one to find what is refused of it, so that a revocation waits no longer. It
// returns what is left of j: nothing, j, or smaller jobs in its place. later says not to try that at once.
func (s *Sink) write(ctx context.Context, w *writer, d *rows.Decoder, j *job) (rest []*job, later bool) {
	if j.batch == nil {
		j.batch, j.began = newBatch(d, j), time.Now()
	}
	j.batch.drop()
	if len(j.batch.moves) == 0 {
		return nil, false
	}
	r, err := s.attempt(ctx, w, j)
	if err == nil {
		s.written(j, r)
		return nil, false
	}
	again, pieces, err := s.fate(ctx, w, j, err)
	if pieces != nil {
		return pieces, false
	}
	if again {
		return []*job{j}, false
	}
	s.metrics.retries.WithLabelValues(s.reason(err)).Inc()
	if j.failures++; j.failures == 1 {
		return []*job{j}, false // a deadlock or a lost connection is over at once, anything else is logged
	}
	if errors.Is(err, errLetter) && unknownTopic(err) {
		s.suspect.Store(true)
	}
	s.waits.On(s.server(err), "", err)
	return []*job{j}, true
}

// fate decides about a batch that was not written because of err: it is tried again at once, because something was done
// about it; or in pieces; or, if neither, because of the error that is returned, which another attempt may not meet.
func (s *Sink) fate(ctx context.Context, w *writer, j *job, err error) (again bool, pieces []*job, _ error) {
	var fenced *FencedError
	refusal := j.isRefusal(err)
	switch {
	case errors.As(err, &fenced):
		s.fenced(fenced, j.batch)
		return true, nil, err
	case (!refusal || !j.looked) && s.parkTable(ctx, err, j.failures > 0):
		return true, nil, err
	case refusal:
		j.looked = true
		if j.records > isolateRecords { // what is tried is done again
			return false, j.pieces(isolateRecords), err
		}
		switch found, failed := w.isolate(ctx, j.batch); {
		case failed != nil: // it may be what every row meets of another table, which this one's refusal kept us from
			return s.parkTable(ctx, failed, j.failures > 0), nil, failed
		case found:
			return true, nil, err
		case j.records > 1: // each is good by itself, not all together: a foreign key, a trigger
			return false, j.pieces((j.records + 1) / 2), err
		}
	case errors.Is(err, dialect.ErrBulk):
		s.env.Log.Warn("the table's rows are sent by INSERT for a while, which is slower", "err", err)
		return true, nil, err
	case errors.Is(err, context.DeadlineExceeded) && j.records > 1 && j.unknown == nil:
		s.env.Log.Warn("batch not written in time; trying smaller ones", "records", j.records, "err", err)
		s.waits.On(s.server(err), "", err) // it may be too slow, or not there
		return false, j.pieces((j.records + 3) / 4), err
	}
	return false, nil, err
}

// isTableFault reports whether err is about a table of the pipeline, and not one of ours.
func isTableFault(err error) bool {
	_, ok := errors.AsType[*faultError](err)
	return ok
}

// isRefusal reports whether err is about rows of the batch. An error that nobody listed is, once the server gives it a
// second time.
func (j *job) isRefusal(err error) bool {
	refused, ok := errors.AsType[*dialect.RefusedError](err)
	if !ok || !isTableFault(err) {
		return false
	}
	sure := j.doubted || !refused.Doubtful
	j.doubted = true
	return sure
}

// server is who did not do what an attempt asked for.
func (s *Sink) server(err error) string {
	if errors.Is(err, errLetter) {
		return "Kafka"
	}
	return s.store.dialect.Name()
}

// attempt sends the letters that are due and applies the batch. If the attempt before could not find out whether its
// COMMIT happened, that is asked first: the guard of a batch that was applied would say that another sink has taken
// over.
func (s *Sink) attempt(ctx context.Context, w *writer, j *job) (result, error) {
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if j.unknown != nil {
		happened, err := w.committed(ctx, j.batch)
		if err != nil {
			return result{}, fmt.Errorf("asking whether COMMIT happened: %w", err)
		}
		r := *j.unknown
		if j.unknown = nil; happened {
			return r, nil
		}
	}
	if err := j.letters.send(ctx, j.batch, &j.sent); err != nil {
		return result{}, err
	}
	r, err := w.apply(ctx, j.batch)
	if !errors.Is(err, errUnknown) {
		return r, err
	}
	s.env.Log.Debug("COMMIT was not answered; asking the offset row whether it happened", "err", err)
	happened, asked := w.committed(ctx, j.batch)
	if asked != nil {
		j.unknown = &r
		return r, fmt.Errorf("%w; asking: %w", err, asked)
	}
	if happened {
		return r, nil
	}
	return r, &notCommittedError{err}
}

// written moves the claims' positions and counts.
func (s *Sink) written(j *job, r result) {
	s.waits.Done(s.store.dialect.Name(), "")
	marks := map[string]map[int32]kgo.EpochOffset{}
	for _, m := range j.batch.moves {
		m.committed()
		if marks[m.claim.topic] == nil {
			marks[m.claim.topic] = map[int32]kgo.EpochOffset{}
		}
		marks[m.claim.topic][m.claim.partition] = kgo.EpochOffset{Epoch: -1, Offset: m.next}
	}
	s.client.MarkCommitOffsets(marks)
	s.metrics.count(j, r)
	s.tell(j, r)
	s.refusals.Committed(&j.sent.refused, s.letters)
}

// tell notes what the committed batch of j did for each stream.
func (s *Sink) tell(j *job, r result) {
	newest := map[string]time.Time{}
	for _, p := range j.polled {
		if len(p.records) == 0 {
			continue // the end of a fill
		}
		stream, last := p.claim.table.Stream, p.records[len(p.records)-1].Timestamp
		if last.After(newest[stream]) {
			newest[stream] = last
		}
	}
	for stream, at := range newest {
		s.progress.Add(stream, at, r.upserts[stream], r.removed[stream], r.superseded[stream], j.sent.count[stream])
	}
}

// reason is a retry's label.
func (s *Sink) reason(err error) string {
	if errors.Is(err, errUnknown) {
		return "unknown_commit"
	}
	return s.store.dialect.Reason(err)
}
