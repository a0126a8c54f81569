package ingest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/millrace-io/millrace/ingest/cut"
)

// mostBroken is how many records of a page may be no JSON: each means reading it again.
const mostBroken = 100

// excerptBytes is how much a letter holds of a record that is too large for a topic.
const excerptBytes = 64 << 10

// takes reports whether the page can be read with what err says as a dead letter. The first time it cannot: the answer
// may have been damaged on its way, and is asked for again.
func (p *page) takes(err error) bool {
	e, ok := errors.AsType[*cut.SyntaxError](err)
	if !ok || e.Record < 0 || e.End == 0 || p.answer.Body.Bytes() == nil || len(p.broken) >= mostBroken {
		return false
	}
	switch n := len(p.broken); {
	case n == 0 && !p.slice.damaged.again(p.url, e), n > 0 && p.broken[n-1].Record >= e.Record:
		return false
	}
	p.broken = append(p.broken, *e)
	return true
}

// damaged is what was wrong with the answers of a slice. It may be used concurrently.
type damaged struct {
	mu   sync.Mutex
	seen map[string]bool
}

// again reports whether the same was wrong with the page before.
func (d *damaged) again(url string, e *cut.SyntaxError) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := fmt.Sprint(url, " ", e)
	if d.seen == nil || len(d.seen) > mostBroken {
		d.seen = map[string]bool{}
	}
	if d.seen[key] {
		return true
	}
	d.seen[key] = true
	return false
}

// breaks is what is wrong with the JSON of a record; empty: nothing.
func (p *page) breaks(ordinal int) string {
	for _, b := range p.broken {
		if b.Record == ordinal {
			return fmt.Sprintf("the record is not JSON: at byte %d of the answer: %v", b.Offset, b.Err)
		}
	}
	return ""
}

// fit makes a dead letter of a record that is too large for its topic, with as much of it as a letter holds.
func (d *decoder) fit(ordinal int, rec *record) {
	size := int64(len(rec.value) + len(rec.key) + len(rec.reason) + d.extra)
	if size <= d.r.max {
		return
	}
	rec.refuse("kafka.max_record_bytes", fmt.Sprintf("record %d of the page has %d bytes with its headers, more than "+
		"kafka.max_record_bytes = %d: raise that setting, and max.message.bytes of the stream's topics with it. The letter holds the "+
		"first %d", ordinal, size, d.r.max, min(len(rec.value), excerptBytes)))
	rec.value = rec.value[:min(len(rec.value), excerptBytes)]
	if len(rec.key) > excerptBytes {
		rec.key = nil
	}
}
