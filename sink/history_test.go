package sink

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/processor/redo"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// A history is what may happen to a stream: records come, are processed and written; the logic changes; a redo begins at any
// moment, of any range; whoever does any of this dies; marks age out. The topics are lists, the steps a table of outcomes,
// and the order in which a redo does things is that of the replay command. The index of the redo is package redo, and what
// the sink does is its own code, on SQLite.
//
// After each batch the table is compared with a plain model: the row of a key is that of the highest version among all that
// was applied. So no row goes back, and none comes back. When a redo has ended, what it has sent is compared with what it
// promises, and a table whose last redo was of everything with a fresh run.

var (
	histories   = flag.Int("histories", 2000, "how many random histories are tried")
	historySeed = flag.Uint64("history", 0, "the seed of the only history to try, as a failure says it")
)

// variant is a way to do a redo wrongly: the test of the test.
type variant string

const (
	asItIs         variant = ""
	noIndex        variant = "all records of the range are processed, without an index"
	indexOfRange   variant = "the index ends where the range does"
	fromRange      variant = "the index begins where the range does, in a stream with versions"
	noMarking      variant = "removals are not marked during a redo"
	cutFirst       variant = "the cut is read before removals are marked"
	cutBefore      variant = "the cut is read before the old processors are fenced"
	pruned         variant = "marks are pruned during a redo"
	nothingForOnce variant = "a redo sends nothing for a record that a filter of once refuses"
)

type outcome int

const (
	isRow outcome = iota
	isRemoved
	isOnce    // refused by a filter that promises to refuse all of the key's
	isLetter  // of a step
	isRefused // by the table
)

// rawRecord is one of the API's.
type rawRecord struct {
	key       string
	source    int64
	tombstone bool
}

// made is a processed record.
type made struct {
	offset     int64 // raw
	raw        rawRecord
	generation uint16
	is         outcome
	n          int
}

func (m made) version() topics.Version {
	return topics.NewVersion(m.raw.source, 0, m.offset, m.generation)
}

// part is a partition: its topics, and how far they were read.
type part struct {
	raw       []rawRecord
	live      int64 // the processors' next raw offset
	processed []made
	sunk      int // the sink's next offset
	claim     *claim
}

// redoing is a redo under way.
type redoing struct {
	generation uint16           // of the round
	first      uint16           // of the first round
	keys       map[string]bool  // nil: all
	refused    []map[int64]bool // by partition: offsets that the table has refused; nil in the first round
	logic      int
	changed    bool // the logic is new: processors of the old one are to be fenced
	marking    bool
	fenced     bool
	cut        []int64 // nil: not read yet
	from, to   []int64
	next       []int64
	marks      []*redo.Marks // nil: to be found, at first and after each death
	last       uint16        // generation before
	full       bool
	aborted    bool
}

type history struct {
	t         *testing.T
	f         *fixture
	admin     *Admin
	wrong     variant
	seed      uint64
	dice      *rand.Rand
	versioned bool
	parts     []*part
	logic     int    // of live processing
	live      uint16 // its generation
	given     uint16 // the highest generation
	redo      *redoing
	complete  int // the logic of the last redo, if it was of everything and nothing changed since; else -1
	newest    map[string]made
	logics    map[uint16]int // of the generations of redos
	log       []string
}

func (h *history) notef(format string, args ...any) {
	h.log = append(h.log, fmt.Sprintf(format, args...))
}

// violation is what a history must not have.
type violation struct {
	h    *history
	what string
}

func (v *violation) Error() string {
	return fmt.Sprintf("history %d: %s\n  %s", v.h.seed, v.what, strings.Join(v.h.log, "\n  "))
}

func (h *history) violation(format string, args ...any) error {
	return &violation{h, fmt.Sprintf(format, args...)}
}

// number is from 0 to 99 for what is named.
func (h *history) number(what ...any) int {
	sum := fnv.New64a()
	_, _ = fmt.Fprint(sum, append([]any{h.seed}, what...)...)
	return int((sum.Sum64() >> 20) % 100)
}

// becomes is what a logic makes of a record.
func (h *history) becomes(p int, offset int64, logic int) (outcome, int) {
	r := h.parts[p].raw[offset]
	if r.tombstone {
		return isRemoved, 0
	}
	if h.number("once", r.key, logic) < 15 {
		return isOnce, 0
	}
	switch n := h.number("outcome", p, offset, logic); {
	case n < 20:
		return isRemoved, 0
	case n < 32:
		return isLetter, 0
	case n < 38:
		return isRefused, 0
	default:
		return isRow, 1 + int(offset)*10 + logic%10
	}
}

func newHistory(t *testing.T, f *fixture, versioned bool, seed uint64, wrong variant) *history {
	h := &history{
		t: t, f: f, admin: &Admin{f.store, f.pipeline}, wrong: wrong, seed: seed, dice: rand.New(rand.NewPCG(seed, 1)), versioned: versioned,
		live: 1, given: 1, complete: -1, newest: map[string]made{}, logics: map[uint16]int{},
	}
	for _, table := range []string{"things", "millrace_marks", "millrace_offsets", "millrace_owners"} {
		if _, err := f.store.db.Exec("DELETE FROM " + table); err != nil {
			t.Fatal(err)
		}
	}
	clear(f.writer.plenty)
	for range 2 {
		h.parts = append(h.parts, &part{})
	}
	for p := range h.parts {
		h.claim(p)
	}
	return h
}

// claim has another sink take a partition over.
func (h *history) claim(p int) {
	h.t.Helper()
	if err := h.f.writer.connect(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	c := &claim{topic: topic, partition: int32(p), table: h.f.table}
	if err := h.f.store.claimOne(h.t.Context(), c, noLog, h.f.writer.session.ID); err != nil {
		h.t.Fatal(err)
	}
	h.parts[p].claim = c
}

// run is a history of so many events, and then of what is needed for all to be written.
func (h *history) run(events int) error {
	for range events {
		if err := h.event(); err != nil {
			return err
		}
	}
	for h.redo != nil {
		for p := range h.parts {
			if err := h.sink(p, 100); err != nil {
				return err
			}
		}
		if err := h.stepRedo(false); err != nil {
			return err
		}
	}
	for p := range h.parts {
		h.process(p, 1000)
		if err := h.sink(p, 1000); err != nil {
			return err
		}
	}
	return h.fresh()
}

func (h *history) event() error {
	p := h.dice.IntN(len(h.parts))
	switch n := h.dice.IntN(100); {
	case n < 25:
		h.come(p)
	case n < 45:
		h.process(p, 1+h.dice.IntN(4))
	case n < 72:
		return h.sink(p, 1+h.dice.IntN(5))
	case n < 75:
		h.claim(p)
		h.notef("a sink takes partition %d over", p)
	case n < 78:
		return h.prune()
	case n < 80:
		h.change()
	default:
		return h.stepRedo(true)
	}
	return nil
}

func (h *history) come(p int) {
	for range 1 + h.dice.IntN(3) {
		r := rawRecord{key: fmt.Sprintf("%c%d", 'a'+h.dice.IntN(4), p), tombstone: h.dice.IntN(6) == 0}
		if h.versioned {
			r.source = int64(h.dice.IntN(12))
		}
		h.notef("raw [%d]@%d: %+v", p, len(h.parts[p].raw), r)
		h.parts[p].raw = append(h.parts[p].raw, r)
	}
}

// process is one transaction of a processor.
func (h *history) process(p, most int) {
	x := h.parts[p]
	logic, generation := h.logic, h.live
	if h.redo != nil && h.redo.changed && !h.redo.fenced {
		logic, generation = h.redo.logic-1, h.redo.last // a processor that has not heard of the new one
	}
	for ; most > 0 && x.live < int64(len(x.raw)); most-- {
		switch is, n := h.becomes(p, x.live, logic); is {
		case isOnce, isLetter:
			h.notef("processed [%d]@%d by generation %d: %d", p, x.live, generation, is)
		default:
			h.send(p, made{x.live, x.raw[x.live], generation, is, n})
		}
		x.live++
	}
}

func (h *history) send(p int, m made) {
	h.notef("processed [%d]@%d: raw %d of %s, generation %d: %d, %d", p, len(h.parts[p].processed), m.offset, m.raw.key, m.generation, m.is, m.n)
	h.parts[p].processed = append(h.parts[p].processed, m)
}

// sink is one transaction of the sink.
func (h *history) sink(p, most int) error {
	x := h.parts[p]
	batch := x.processed[x.sunk:min(len(x.processed), x.sunk+most)]
	if len(batch) == 0 {
		return nil
	}
	for again := true; again; {
		b := newBatch(rows.NewDecoder(), h.job(x, batch))
		_, err := h.f.writer.apply(h.t.Context(), b)
		var fenced *FencedError
		switch again = errors.As(err, &fenced); {
		case again: // a redo has taken the claims back
			h.claim(p)
		case err != nil:
			return err
		default:
			x.claim.next, x.claim.high = b.moves[0].next, b.moves[0].high
		}
	}
	x.sunk += len(batch)
	for _, m := range batch {
		if m.is == isRefused {
			continue
		}
		was, known := h.newest[m.raw.key]
		now, before := m.version(), was.version()
		if !known || string(now[:]) > string(before[:]) {
			h.newest[m.raw.key] = m
		}
	}
	h.notef("written [%d] up to %d", p, x.sunk)
	want := map[string]string{}
	for key, m := range h.newest {
		if m.is == isRow {
			want[key] = fmt.Sprint(m.n)
		}
	}
	got := h.f.column("n")
	for key, n := range got {
		if want[key] == "" && h.newestGood(key, n) {
			want[key] = n
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		return h.violation("rows (-want +got):\n%s", d)
	}
	return nil
}

// newestGood reports whether a row is what a redo has made of the newest good record of a key that has no row by its newest
// version: that is of a record which an older logic has filtered, and which the redo's refuses. The redo promises this row, and
// where the removal has left no mark, it is there.
func (h *history) newestGood(key, n string) bool {
	newest := h.newest[key]
	for p, x := range h.parts {
		for _, m := range x.processed[:x.sunk] {
			logic, again := h.logics[m.generation]
			if m.raw.key != key || m.is != isRow || fmt.Sprint(m.n) != n || !again || newest.generation >= m.generation {
				continue
			}
			if is, _ := h.becomes(p, newest.offset, logic); (is == isLetter || is == isRefused) && above(newest, m) {
				return true
			}
		}
	}
	return false
}

func (h *history) job(x *part, batch []made) *job {
	j := &job{}
	var records []*kgo.Record
	for i, m := range batch {
		v := m.version()
		r := &kgo.Record{
			Topic: topic, Partition: x.claim.partition, Offset: int64(x.sunk + i), Key: []byte(m.raw.key),
			Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: v[:]}},
		}
		switch m.is {
		case isRemoved:
			pk, _ := json.Marshal([]string{m.raw.key})
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: topics.HeaderPK, Value: pk})
		case isRefused:
			r.Value, _ = json.Marshal(map[string]any{"id": m.raw.key, "n": "no number"})
		default:
			r.Value, _ = json.Marshal(map[string]any{"id": m.raw.key, "n": m.n})
		}
		records = append(records, r)
	}
	j.polled, j.records = []polled{{x.claim, x.claim.next, records}}, len(records)
	return j
}

// prune has the marks be as old as marks get, if all has caught up. In a stream with versions an older revision may still
// come after that; then it has a row again, which is known and documented.
func (h *history) prune() error {
	if h.versioned {
		return nil
	}
	for _, x := range h.parts {
		if x.live < int64(len(x.raw)) || x.sunk < len(x.processed) {
			return nil
		}
	}
	if _, err := h.f.store.db.Exec("UPDATE millrace_marks SET marked_at = '2000-01-01 00:00:00'"); err != nil {
		return err
	}
	h.notef("marks age out")
	table := *h.f.table
	if h.wrong == pruned {
		table.Name = "another"
	}
	_, err := h.f.store.prune(h.t.Context(), topic, &table)
	return err
}

// change deploys another logic, without a redo.
func (h *history) change() {
	if h.redo == nil || h.redo.fenced || !h.redo.changed && h.redo.cut != nil {
		h.given++
		h.logic++
		h.live, h.complete = h.given, -1
		h.notef("logic %d is live, generation %d", h.logic, h.live)
	}
}

// stepRedo does the next thing of a redo: it begins, or goes on, or dies and is begun again where it was.
func (h *history) stepRedo(begin bool) error {
	r := h.redo
	switch {
	case r == nil:
		if begin && h.dice.IntN(3) == 0 {
			h.beginRedo()
		}
	case !r.marking && (h.wrong != cutFirst || r.cut != nil):
		r.marking = true
		if h.wrong == noMarking {
			return nil
		}
		h.notef("removals are marked")
		return h.admin.SetMarking(h.t.Context(), "s", r.first, true)
	case r.cut == nil && r.changed && !r.fenced && h.wrong != cutBefore:
		r.fenced = true
		h.notef("processors of before are fenced")
	case r.cut == nil:
		h.cut()
	case r.changed && !r.fenced:
		r.fenced = true
	case r.marks == nil:
		return h.index()
	default:
		return h.emit(begin)
	}
	return nil
}

func (h *history) beginRedo() {
	r := &redoing{logic: h.logic, last: h.live, changed: h.dice.IntN(2) == 0}
	if r.changed {
		h.given++
		h.logic++
		r.logic, h.live, h.complete = h.logic, h.given, -1
	}
	h.given++
	h.logics[h.given] = r.logic
	r.generation, r.first = h.given, h.given // of its own: what is processed live below the cut has another
	h.redo = r
	h.notef("a redo begins: %+v", *r)
}

// cut reads how far processors are, and what range is asked for.
func (h *history) cut() {
	r := h.redo
	r.full = h.dice.IntN(2) == 0
	for _, x := range h.parts {
		from, to := int64(0), x.live
		if !r.full {
			from = h.dice.Int64N(x.live + 1)
			to = from + h.dice.Int64N(x.live-from+1)
		}
		r.cut, r.from, r.to, r.next = append(r.cut, x.live), append(r.from, from), append(r.to, to), append(r.next, 0)
	}
	h.notef("the cut is %v, the range %v to %v", r.cut, r.from, r.to)
}

func (h *history) rangeOf(p int) redo.Range {
	r := h.redo
	out := redo.Range{From: r.from[p], To: r.to[p], Cut: r.cut[p], Versioned: h.versioned, MaxKeys: 1 + h.dice.IntN(5), Keys: r.keys}
	if r.refused != nil {
		out.Refused = r.refused[p]
	}
	return out
}

func (h *history) index() error {
	r := h.redo
	for p := range h.parts {
		what := h.rangeOf(p)
		if h.wrong == indexOfRange {
			what.Cut = what.To
		}
		if h.wrong == fromRange {
			what.Start = what.From
		}
		good := func(rec *kgo.Record) bool {
			is, _ := h.becomes(p, rec.Offset, r.logic)
			return is != isLetter
		}
		marks, err := redo.Build(h.t.Context(), what, rawLog{h.parts[p].raw, h.versioned}, good)
		if err != nil {
			return err
		}
		r.marks = append(r.marks, marks)
	}
	h.notef("looked through")
	return nil
}

// rawLog is a partition as package redo reads it.
type rawLog struct {
	raw       []rawRecord
	versioned bool
}

// Read is what package redo asks for.
func (l rawLog) Read(_ context.Context, from, to int64, f func(*kgo.Record) error) error {
	for at := from; at < to; at++ {
		x := l.raw[at]
		r := &kgo.Record{Offset: at, Key: []byte(x.key), Value: []byte("{}")}
		if l.versioned {
			r.Headers = topics.RawHeaders{Source: x.source, HasSource: true}.Append(nil)
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return nil
}

// emit is one transaction of the redo, its death, or its end.
func (h *history) emit(maybe bool) error {
	r := h.redo
	if maybe && h.dice.IntN(6) == 0 {
		r.marks = nil
		h.notef("the redo dies")
		return nil
	}
	if maybe && h.dice.IntN(40) == 0 {
		r.aborted = true
		return h.endRedo()
	}
	for p, x := range h.parts {
		sent := 0
		for ; r.next[p] < r.cut[p] && sent < 3; r.next[p]++ {
			at := r.next[p]
			wanted := r.marks[p].Has(at)
			if h.wrong == noIndex {
				wanted = at >= r.from[p] && at < r.to[p]
			}
			if !wanted {
				continue
			}
			switch is, n := h.becomes(p, at, r.logic); is {
			case isLetter:
			case isOnce:
				if h.wrong != nothingForOnce {
					h.send(p, made{at, x.raw[at], r.generation, isRemoved, 0})
				}
			default:
				h.send(p, made{at, x.raw[at], r.generation, is, n})
			}
			sent++
		}
		if sent > 0 {
			return nil
		}
	}
	return h.endRedo()
}

// endRedo ends a redo once all that it has sent is written.
func (h *history) endRedo() error {
	r := h.redo
	for _, x := range h.parts {
		if x.sunk < len(x.processed) {
			return nil // later
		}
	}
	if h.wrong == asItIs && !r.aborted && h.again() {
		return nil
	}
	if h.wrong != noMarking {
		if err := h.admin.SetMarking(h.t.Context(), "s", r.first, false); err != nil {
			return err
		}
	}
	h.redo = nil
	h.notef("the redo has ended")
	if r.aborted {
		return nil
	}
	if r.full && r.logic == h.logic {
		h.complete = r.logic
	}
	if h.wrong == asItIs || h.wrong == fromRange { // whose rows older versions and marks keep out: only what is sent tells
		return h.promised(r)
	}
	return nil
}

// again begins another round of a redo, for the keys of which the table has refused records of this one. It reports whether there
// are any.
func (h *history) again() bool {
	r := h.redo
	keys := map[string]bool{}
	if r.refused == nil {
		r.refused = []map[int64]bool{{}, {}}
	}
	for p, x := range h.parts {
		for _, m := range x.processed {
			if m.generation == r.generation && m.is == isRefused {
				keys[m.raw.key], r.refused[p][m.offset] = true, true
			}
		}
	}
	if len(keys) == 0 {
		return false
	}
	h.given++
	h.logics[h.given] = r.logic
	r.generation, r.keys, r.marks, r.next = h.given, keys, nil, make([]int64, len(h.parts))
	h.notef("another round, generation %d, for %v", r.generation, keys)
	return true
}

// above reports whether a record is newer than another of its key.
func above(a, b made) bool {
	x, y := topics.NewVersion(a.raw.source, 0, a.offset, 0), topics.NewVersion(b.raw.source, 0, b.offset, 0)
	return string(x[:]) > string(y[:])
}

// promised compares what a redo has sent with its promise: of each key whose newest record is in the range, the newest good one;
// of others nothing.
func (h *history) promised(r *redoing) error {
	for p, x := range h.parts {
		newest, good := map[string]made{}, map[string]made{}
		for at := range r.cut[p] {
			m := made{offset: at, raw: x.raw[at]}
			if was, ok := newest[m.raw.key]; !ok || above(m, was) {
				newest[m.raw.key] = m
			}
			is, _ := h.becomes(p, at, r.logic)
			if was, ok := good[m.raw.key]; is != isLetter && (!ok || above(m, was)) {
				good[m.raw.key] = m
			}
		}
		want, got := map[string][]int64{}, map[string][]int64{}
		for key, m := range newest {
			if g, ok := good[key]; ok && m.offset >= r.from[p] && m.offset < r.to[p] {
				want[key] = append(want[key], g.offset)
			}
		}
		for _, m := range x.processed {
			if m.generation == r.first && m.offset < r.cut[p] {
				got[m.raw.key] = append(got[m.raw.key], m.offset)
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			return h.violation("raw offsets that the redo has sent, of partition %d (-want +got):\n%s", p, d)
		}
	}
	return nil
}

// fresh compares the table with a fresh run, if the last redo was of everything and the logic is still its. A row of a record that only
// an older logic has accepted stays.
func (h *history) fresh() error {
	if h.complete < 0 || h.complete != h.logic {
		return nil
	}
	for p, x := range h.parts {
		good := map[string]made{}
		for at, raw := range x.raw {
			m := made{offset: int64(at), raw: raw}
			m.is, m.n = h.becomes(p, m.offset, h.logic)
			if was, ok := good[raw.key]; m.is != isLetter && m.is != isRefused && (!ok || above(m, was)) {
				good[raw.key] = m
			}
		}
		for key, want := range good {
			got, ok := h.newest[key]
			if ok && above(got, want) {
				continue
			}
			if want.is == isOnce {
				want.is = isRemoved
			}
			if !ok && want.is == isRemoved {
				continue
			}
			if got.is != want.is || got.n != want.n {
				return h.violation("%s is %+v, and a fresh run has %+v", key, got, want)
			}
		}
	}
	return nil
}

// TestHistories tries random histories on a stream with versions and on one without.
func TestHistories(t *testing.T) {
	fixtures := map[bool]*fixture{}
	try := func(seed uint64) error {
		versioned := seed%2 == 0
		f := fixtures[versioned]
		if f == nil {
			f = newHistoryFixture(t, versioned)
			fixtures[versioned] = f
		}
		return newHistory(t, f, versioned, seed, asItIs).run(40 + int(seed%60))
	}
	if *historySeed != 0 {
		if err := try(*historySeed); err != nil {
			t.Fatal(err)
		}
		return
	}
	first := rand.Uint64() >> 1
	n := *histories
	if raceDetector {
		n = min(n, 200) // one goroutine; they take ten times as long
	}
	for i := range uint64(n) {
		if err := try(first + i); err != nil {
			t.Fatalf("%v\n(try it again with -history %d)", err, first+i)
		}
	}
	t.Logf("%d histories, from seed %d", n, first)
}

func newHistoryFixture(t *testing.T, versioned bool) *fixture {
	t.Helper()
	p := &pipeline.Pipeline{Database: pipeline.Database{Embedded: true}, DataDir: t.TempDir()}
	f := newFixture(t, p, versioned)
	p.Streams = []pipeline.Stream{{Name: "s", Sink: things("json")}}
	f.store.cfg.LoadRows = 0
	f.store.streams = map[string]bool{"s": true}
	hours := []string{"2001-01-01 00:00:00", "2001-01-01 01:00:00"}
	for range int(f.store.cfg.MarkRetention.Hours()) + 2 {
		hours = append(hours, fmt.Sprintf("2001-02-%02d %02d:00:00", 1+len(hours)/24, len(hours)%24))
	}
	for _, hour := range hours {
		if _, err := f.store.db.Exec("INSERT OR IGNORE INTO millrace_caught_up (topic, hour) VALUES (?, ?)", topic, hour); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

// TestHistoriesFindWhatIsWrong does redos wrongly, in each of the ways that matter, and a history must notice.
func TestHistoriesFindWhatIsWrong(t *testing.T) {
	for wrong, first := range map[variant]uint64{ // a seed a little before the first that shows it; should the histories change, more are tried
		noIndex: 70, indexOfRange: 1270, fromRange: 0, noMarking: 40, cutFirst: 170, cutBefore: 0, pruned: 1060, nothingForOnce: 0,
	} {
		t.Run(string(wrong), func(t *testing.T) {
			plain, versioned := newHistoryFixture(t, false), newHistoryFixture(t, true)
			for seed := first; seed < first+20_000; seed++ {
				f := plain
				if seed%2 == 0 {
					f = versioned
				}
				err := newHistory(t, f, seed%2 == 0, seed, wrong).run(100)
				if found, ok := errors.AsType[*violation](err); ok {
					t.Logf("seed %d: %s", seed, found.what)
					return
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			t.Error("no history has noticed it")
		})
	}
}
