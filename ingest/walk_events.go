package ingest

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/millrace-io/millrace/ingest/fetch"
	"github.com/millrace-io/millrace/ingest/sse"
)

// A stream of events does not end: a walk looks for this time, or at so many events, if the server does not close
// before.
const (
	walkedFor    = 10 * time.Second
	walkedEvents = 100
)

// events looks at what comes over as many connections as there would be passes, each a page.
func (w Walk) events(ctx context.Context, s *slice, see func(*WalkedPage) error) error {
	for n := range max(w.Passes, 1) {
		c := &connection{s: s}
		if err := c.connect(ctx); err != nil {
			return err
		}
		err := c.walk(ctx, n, see)
		c.stream.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *connection) walk(ctx context.Context, pass int, see func(*WalkedPage) error) error {
	s := c.s
	enough := time.AfterFunc(walkedFor, c.stream.Close)
	defer enough.Stop()
	reader := sse.NewReader(c.stream.Body, s.plan.Next.Cursor, 4*int(s.reader.max))
	b := &eventBatch{s: s}
	for len(b.values) < walkedEvents && b.bytes < 1<<20 {
		e, err := reader.Next()
		if large, ok := errors.AsType[*sse.TooLargeError](err); ok {
			return large
		}
		if err != nil { // the server, the time or ctx has ended it
			if len(b.values) == 0 && !errors.Is(err, io.EOF) && ctx.Err() == nil {
				return &fetch.Error{URL: s.client.Redactor().URL(c.stream.URL), Text: "no event has come within " + walkedFor.String()}
			}
			break
		}
		b.add(e)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	p, err := b.page(c.stream)
	if err != nil {
		return err
	}
	defer p.close()
	out := &WalkedPage{Pass: pass, Slice: s.name, URL: p.url, Header: c.stream.Header, Bytes: p.answer.Body.Size()}
	err = s.reader.each(p, 0, func(_ int, rec *record, _ bool) error {
		s.reader.judge(rec, p)
		out.Records = append(out.Records, walkedRecord(rec))
		return nil
	})
	if err != nil {
		return err
	}
	return see(out)
}

// walkedRecord is a copy of a record.
func walkedRecord(rec *record) WalkedRecord {
	return WalkedRecord{
		Value: slices.Clone(rec.value), Key: slices.Clone(rec.key), Source: rec.source, HasSource: rec.hasSource, Reason: rec.reason, Step: rec.step,
		Deleted: rec.deleted && rec.reason == "",
	}
}
