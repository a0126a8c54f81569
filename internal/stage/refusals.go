package stage

import (
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Refusals tells of dead letters: one warning for each stream, step and kind of reason, with the first key, the count,
// the topic and the next command; another when there are ten times as many, or when ten times as many come in a minute
// as usual, at most one a minute; and the counts in health. Normal operation logs nothing for a record. It may be used
// concurrently.
type Refusals struct {
	env     Env
	notices *Notices
	now     func() time.Time

	mu    sync.Mutex
	kinds map[refusalKind]*refusalCount
	of    map[[2]string]int // how many kinds, by stream and step
	sums  map[string]int    // by stream
}

type refusalKind struct{ stream, step, kind string }

// mostKinds is how many kinds of reasons of one step are told apart. The reasons beyond are one kind: a trigger, say,
// may put a value of the row into its message without quotes.
const mostKinds = 20

// NewRefusals returns what tells of the dead letters of the stage whose notices are n.
func NewRefusals(n *Notices) *Refusals {
	return &Refusals{env: n.env, notices: n, now: time.Now, kinds: map[refusalKind]*refusalCount{}, of: map[[2]string]int{}, sums: map[string]int{}}
}

// Refused is records of one stream that were refused at one step for one kind of reason, in one transaction.
type Refused struct {
	Key, Reason string // of the first
	Count       int
}

// Batch collects the refused records of a transaction. It is for one goroutine. The zero value is ready.
type Batch struct{ refused map[refusalKind]*Refused }

// Add notes a refused record. reason is without secrets.
func (b *Batch) Add(stream, step, reason, key string) {
	if b.refused == nil {
		b.refused = map[refusalKind]*Refused{}
	}
	k := refusalKind{stream, step, ReasonKind(reason)}
	if r := b.refused[k]; r != nil {
		r.Count++
		return
	}
	b.refused[k] = &Refused{Key: key, Reason: reason, Count: 1}
}

// Reset forgets what was noted: the transaction was aborted.
func (b *Batch) Reset() { clear(b.refused) }

// Committed tells of b, whose letters are in their topics now, and empties it. topic names a stream's dead-letter
// topic.
func (r *Refusals) Committed(b *Batch, topic func(stream string) string) {
	if len(b.refused) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	for k, of := range b.refused {
		r.sums[k.stream] += of.Count
		if c := r.counted(k); c.add(of.Count, now) {
			r.env.Log.Warn("records refused: they wait in the dead-letter topic, and their keys keep the rows they had",
				"stream", k.stream, "step", k.step, "key", shorten(of.Key, 100), "reason", shorten(of.Reason, 300),
				"count", c.count, "topic", topic(k.stream), "next", r.env.Command("dlq list", k.stream))
		}
		records := "records"
		if r.sums[k.stream] == 1 {
			records = "record"
		}
		r.notices.count(k.stream, fmt.Sprintf("%d %s refused, in %s; the last: %s: %s",
			r.sums[k.stream], records, topic(k.stream), k.step, shorten(of.Reason, 200)))
	}
	b.Reset()
}

// counted returns the count of a kind.
func (r *Refusals) counted(k refusalKind) *refusalCount {
	c, step := r.kinds[k], [2]string{k.stream, k.step}
	if c == nil && r.of[step] >= mostKinds {
		k.kind = ""
		c = r.kinds[k]
	}
	if c == nil {
		c = &refusalCount{next: 1}
		r.kinds[k] = c
		r.of[step]++
	}
	return c
}

// count shows a count in health without a line in the log.
func (n *Notices) count(stream, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.texts[stream] == nil {
		n.texts[stream] = map[string]string{}
	}
	n.texts[stream]["dead_letters"] = text
	n.gauge.WithLabelValues(stream, "dead_letters").Set(1)
	n.tell(stream)
}

// ReasonKind is a reason of refusal without what differs from record to record: what is quoted, and numbers.
func ReasonKind(reason string) string {
	var out strings.Builder
	quote := rune(0)
	for _, c := range reason {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'' || c == '`':
			quote = c
			out.WriteRune(c)
		case !unicode.IsDigit(c):
			out.WriteRune(c)
		}
		if out.Len() > 200 {
			break
		}
	}
	return out.String()
}

func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
