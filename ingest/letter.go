package ingest

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// letter is the dead letter of a record that is refused.
func letter(p *page, ordinal int, rec *record, raw *kgo.Record) *kgo.Record {
	s := p.slice
	l := topics.Letter{
		Stage: "ingest", Step: rec.step, Reason: rec.reason,
	}
	id := fmt.Sprintf("ingest:%s:%s:%d", s.key, p.id, ordinal)
	return l.Record(s.in.letters(s.stream.Name), id, raw)
}

// recordName is a record's key, or, without one, where it is in its page.
func recordName(p *page, ordinal int, rec *record) string {
	if rec.key == nil {
		return fmt.Sprintf("none: record %d of %s", ordinal, p.url)
	}
	return string(rec.key)
}
