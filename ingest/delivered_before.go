package ingest

import (
	"context"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// What was delivered before this process began is known by the raw topic: each of its records names the delivery that
// it came with, and its place in it. A delivery that comes again, because the process ended before it answered, or
// after, writes only what is missing of it. It counts by record and not as a whole: of a delivery to several streams,
// some may have been written and others not.

const (
	restoreDeliveriesWithin = 15 * time.Second // what is not read by then may be written again
	restoreFetchBytes       = 1 << 20
)

// restore reads the last records of each stream that is delivered.
func (h *hooks) restore(ctx context.Context) {
	within, cancel := context.WithTimeout(ctx, restoreDeliveriesWithin)
	defer cancel()
	for _, e := range h.endpoints {
		for _, s := range e.streams {
			if s.hook.ID == "" && s.hook.IDAt == nil {
				continue
			}
			if err := h.restoreStream(within, s); err != nil && ctx.Err() == nil {
				s.log.Warn("not all that was delivered before this process began is known: what is sent again may be written once more", "err", err)
			}
		}
	}
}

func (h *hooks) restoreStream(ctx context.Context, s *delivered) error {
	topic := topics.Raw(h.in.p.Name, s.stream.Name)
	ends, err := admin.Ends(ctx, h.in.adm, topic)
	if err != nil {
		return err
	}
	last := map[int32]admin.Range{}
	for partition, end := range ends {
		last[partition] = admin.Range{From: max(0, end-knownDeliveries/int64(len(ends))), To: end}
	}
	opts := append(append([]kgo.Opt(nil), h.in.env.Kafka...), kgo.FetchMaxBytes(restoreFetchBytes), kgo.FetchMaxPartitionBytes(restoreFetchBytes))
	return admin.ReadRanges(ctx, opts, topic, last, func(r *kgo.Record) {
		for _, header := range r.Headers {
			if header.Key == topics.HeaderPage {
				s.before.Add(string(header.Value))
			}
		}
	})
}

// wasWritten reports whether a record of a delivery is in the raw topic since before this process began.
func (s *delivered) wasWritten(d *delivery, ordinal int) bool {
	return d.named() && s.before.Has(d.pageID()+":"+strconv.Itoa(ordinal))
}

// named reports whether the delivery has an id by which its records are known.
func (d *delivery) named() bool { return d.id != "" && len(d.id) <= longestID }

// longestID is of how many bytes the id of a delivery is at most that its records are named after.
const longestID = 100
