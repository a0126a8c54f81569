package sink

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// part is a partition of a line: its processed topic, and how far it and the raw topic were read.
type part struct {
	live      int64 // the processors' next raw offset
	processed []made
	sunk      int    // the sink's next offset
	claim     *claim // nil: it is not claimed
	letters   map[int64]bool
}

// line is one of the stream.
type line struct {
	*history

	number   uint16
	place    *place
	table    *rows.Table // that its sinks have heard of
	parts    [historyPartitions]*part
	logic    int    // of live processing
	live     uint16 // its generation
	given    uint16 // the highest generation
	redo     *redoing
	complete int  // the logic of the last redo, if it was of everything and nothing changed since; else -1
	pure     bool // it has had one logic, and no redo
	built    bool // all that was in the raw topic when it was looked at is in the table
	newest   map[string]made
	redone   map[uint16]int // logics of the generations of redos
}

// addLine has stages run a line.
func (h *history) addLine(number uint16, logic int) *line {
	l := &line{
		history: h, number: number, place: h.at.of(number), logic: logic, live: 1, given: 1, complete: -1, pure: true, built: number == 1,
		newest: map[string]made{}, redone: map[uint16]int{},
	}
	for p := range l.parts {
		l.parts[p] = &part{letters: map[int64]bool{}}
	}
	h.lines = append(h.lines, l)
	if err := l.hearName(); err != nil {
		h.t.Fatal(err)
	}
	return l
}

// hearName has the line's sinks begin again with the name that its table has by what the control topic says.
func (l *line) hearName() error {
	name := historyTable
	if l.number != l.told {
		name = l.place.aside
	}
	l.table = l.place.named(name)
	err := l.place.store.prepareTable(l.t.Context(), l.place.topic, l.table)
	if err != nil && !isSwap(err) {
		return fmt.Errorf("line %d: prepare %s: %w", l.number, name, err)
	}
	for p := range l.parts {
		l.claim(p)
	}
	return nil
}

// claim has another sink take a partition over, if no swap is in the way.
func (l *line) claim(p int) {
	l.t.Helper()
	w := l.place.writer
	if err := w.connect(l.t.Context()); err != nil {
		l.t.Fatal(err)
	}
	c := &claim{topic: l.place.topic, partition: int32(p), table: l.table}
	err := l.place.store.claimOne(l.t.Context(), c, noLog, w.session.ID)
	l.notef("a sink of line %d claims partition %d as of %s: %v", l.number, p, l.table.Name, err)
	switch l.parts[p].claim = c; {
	case isSwap(err):
		l.parts[p].claim = nil
	case err != nil:
		l.t.Fatal(l.violation("line %d: claim: %v", l.number, err))
	case c.next != int64(l.parts[p].sunk):
		l.t.Fatal(l.violation("line %d: partition %d continues at %d, want %d", l.number, p, c.next, l.parts[p].sunk))
	}
}

// process is one transaction of a processor.
func (l *line) process(p, most int) {
	x := l.parts[p]
	logic, generation := l.logic, l.live
	if l.redo != nil && l.redo.changed && !l.redo.fenced {
		logic, generation = l.redo.before, l.redo.last // a processor that has not heard of the new one
	}
	for ; most > 0 && x.live < int64(len(l.raw[p])); most-- {
		switch is, n := l.becomes(p, x.live, logic); is {
		case isLetter:
			x.letters[x.live] = true
			fallthrough
		case isOnce:
			l.notef("processed line %d [%d]@%d by generation %d: %d", l.number, p, x.live, generation, is)
		default:
			l.send(p, made{x.live, l.raw[p][x.live], generation, is, n, false})
		}
		x.live++
	}
}

func (l *line) send(p int, m made) {
	l.notef("processed line %d [%d]@%d: raw %d of %s, generation %d: %d, %d", l.number, p, len(l.parts[p].processed), m.offset, m.raw.key, m.generation, m.is, m.n)
	l.parts[p].processed = append(l.parts[p].processed, m)
}

// sink is one transaction of the sink, which does nothing while a swap is in the way.
func (l *line) sink(p, most int) error {
	x := l.parts[p]
	batch := x.processed[x.sunk:min(len(x.processed), x.sunk+most)]
	if len(batch) == 0 {
		return nil
	}
	for again := true; again; {
		if x.claim == nil {
			l.claim(p)
		}
		if x.claim == nil {
			return nil
		}
		b := newBatch(rows.NewDecoder(), l.job(x, batch))
		_, err := l.place.writer.apply(l.t.Context(), b)
		var fenced *FencedError
		switch again = errors.As(err, &fenced); {
		case again: // a redo or a swap has taken the claims back
			x.claim = nil
		case err != nil:
			return l.violation("line %d: write to %s: %v", l.number, l.table.Name, err)
		default:
			b.moves[0].committed()
		}
	}
	x.sunk += len(batch)
	l.touched = true
	for _, m := range batch {
		if m.is == isRefused {
			x.letters[m.offset] = true
			continue
		}
		was, known := l.newest[m.raw.key]
		now, before := m.version(), was.version()
		if !known || string(now[:]) > string(before[:]) {
			l.newest[m.raw.key] = m
		}
	}
	l.notef("written line %d [%d] up to %d", l.number, p, x.sunk)
	return l.compare(l.table.Name)
}

// drain has a line process and write all that it may.
func (l *line) drain() error {
	for p := range l.parts {
		l.process(p, 1000)
		if err := l.sink(p, 1000); err != nil {
			return err
		}
	}
	return nil
}

// compare compares a table with the model of the line.
func (l *line) compare(table string) error {
	want := map[string]string{}
	for key, m := range l.newest {
		if m.is == isRow {
			want[l.id(key)] = l.row(m)
		}
	}
	got := l.at.rows(table)
	if maps.Equal(got, want) {
		return nil
	}
	for key := range l.newest {
		id := l.id(key)
		if n, ok := got[id]; ok && want[id] == "" && l.newestGood(key, n) {
			want[id] = n
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		return l.violation("rows of %s, line %d (-want +got):\n%s", table, l.number, d)
	}
	return nil
}

// id is the key of a row in the line's table: a line may have another key than the one before.
func (l *line) id(key string) string {
	if l.number%2 == 0 {
		return key + "!"
	}
	return key
}

// row is a row as it is read: n, and of which line it is.
func (l *line) row(m made) string { return fmt.Sprintf("%d of line %d", m.n, l.number) }

// newestGood reports whether a row is what a redo has made of the newest good record of a key that has no row by its
// newest version: that is of a record which an older logic has filtered, and which the redo's refuses. The redo
// promises this row, and where the removal has left no mark, it is there.
func (l *line) newestGood(key, row string) bool {
	newest := l.newest[key]
	for p, x := range l.parts {
		for _, m := range x.processed[:x.sunk] {
			logic, again := l.redone[m.generation]
			if m.raw.key != key || m.is != isRow || l.row(m) != row || !again || newest.generation >= m.generation {
				continue
			}
			if is, _ := l.becomes(p, newest.offset, logic); (is == isLetter || is == isRefused) && above(newest, m) {
				return true
			}
		}
	}
	return false
}

func (l *line) job(x *part, batch []made) *job {
	j := &job{}
	var records []*kgo.Record
	for i, m := range batch {
		v := m.version()
		r := &kgo.Record{
			Topic: l.place.topic, Partition: x.claim.partition, Offset: int64(x.sunk + i), Key: []byte(m.raw.key),
			Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: v[:]}},
		}
		columns := map[string]any{"id": l.id(m.raw.key), "n": m.n, "note": fmt.Sprint("line ", l.number)}
		switch m.is {
		case isRemoved:
			pk, _ := json.Marshal([]string{l.id(m.raw.key)})
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: topics.HeaderPK, Value: pk})
			columns = nil
		case isRefused:
			columns["n"] = "no number"
		default:
		}
		if columns != nil {
			r.Value, _ = json.Marshal(columns)
		}
		records = append(records, r)
	}
	j.polled, j.records = []polled{{x.claim, x.claim.next, records}}, len(records)
	return j
}
