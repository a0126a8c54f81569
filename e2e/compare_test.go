//go:build integration

package e2e

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/topics"
)

// copyHeader marks processed records that the test sent again.
const copyHeader = "test-copy"

// How many violations are kept, and of one kind: the first ones say what is wrong.
const (
	maxViolations = 20
	maxOfKind     = 4
)

// comparison is everything that the pipeline has made, beside what it must be.
type comparison struct {
	pipeline   string
	source     *source
	raw        map[string]map[string][]rawRecord // by stream and key, in raw order
	at         map[place]rawRecord
	live       map[string]uint16 // the generation of each stream: what others made of a record may be wrong
	lines      map[string][]line // of each stream
	violations []string
	counts     map[string]int
}

// made is what a generation made of a raw record: a redo makes it once more, in a generation of its own.
type made struct {
	place
	generation string
}

// place is a raw record's.
type place struct {
	stream    string
	partition int32
	offset    int64
}

type rawRecord struct {
	revision
	partition int32
	offset    int64
	gone      bool // it is a tombstone
}

func (c *comparison) wrongf(format string, args ...any) {
	c.counts["violations"]++
	if c.counts[format]++; c.counts[format] <= maxOfKind && len(c.violations) < maxViolations {
		c.violations = append(c.violations, fmt.Sprintf(format, args...))
	}
}

// mustHold logs what was compared, and ends the whole run where a promise was broken. It panics for that: a test that
// fails is run once more by make test, and with other dice this could pass.
func (c *comparison) mustHold(t testing.TB) {
	t.Helper()
	t.Log(c)
	if n := c.counts["violations"]; n > 0 {
		panic(fmt.Sprintf("%s: %d violations\n%s", t.Name(), n, c))
	}
}

// compare reads all topics and tables of a settled pipeline.
func compare(ctx context.Context, s *source, pipeline string, brokers []string, dsn string, live map[string]uint16, lines map[string][]line) (*comparison, error) {
	c := &comparison{pipeline: pipeline, source: s, live: live, lines: lines, raw: map[string]map[string][]rawRecord{}, at: map[place]rawRecord{}, counts: map[string]int{}}
	db, err := sql.Open("mysql", dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = db.Close() }()
	for _, stream := range s.names {
		if err := c.readRaw(ctx, brokers, stream); err != nil {
			return nil, err
		}
		for _, l := range lines[stream] {
			refused, err := c.readOutcomes(ctx, brokers, stream, l)
			if err != nil {
				return nil, err
			}
			c.letters(stream, refused)
			if err := c.table(ctx, db, stream, l); err != nil {
				return nil, err
			}
		}
	}
	return c, nil
}

// readRaw checks P1: everything in raw was served, nothing is doubled, and the newest of each key is there.
func (c *comparison) readRaw(ctx context.Context, brokers []string, stream string) error {
	byKey := map[string][]rawRecord{}
	c.raw[stream] = byKey
	pages := map[string]bool{} // slice, page and ordinal
	err := testkit.Read(ctx, brokers, topics.Raw(c.pipeline, stream), func(r *kgo.Record) {
		c.counts["raw"]++
		if r.Value == nil {
			if x, ok := c.tombstone(r, stream, byKey[string(r.Key)]); ok {
				byKey[x.key] = append(byKey[x.key], x)
				c.at[place{stream, x.partition, x.offset}] = x
			}
			return
		}
		var served struct {
			ID  string
			Rev int64
		}
		if err := json.Unmarshal(r.Value, &served); err != nil {
			c.wrongf("raw %s[%d]@%d: %v in %s", stream, r.Partition, r.Offset, err, r.Value)
			return
		}
		x := rawRecord{revision{stream, served.ID, served.Rev}, r.Partition, r.Offset, false}
		if string(r.Value) != x.json() || string(r.Key) != x.key {
			c.wrongf("raw %s[%d]@%d: key %s: %s, which was served as %s", stream, r.Partition, r.Offset, r.Key, r.Value, x.json())
		}
		h, err := topics.ParseRawHeaders(r)
		if err != nil || hasVersion(stream) && (!h.HasSource || h.Source != x.rev*int64(time.Millisecond)) {
			c.wrongf("raw %s[%d]@%d: headers %+v, %v", stream, r.Partition, r.Offset, h, err)
		}
		if at := fmt.Sprintf("%s %s:%d", h.Slice, h.PageID, h.Ordinal); pages[at] && stream != "hooks" && stream != "children" { // a delivery is sent again until it is answered; a parent that comes back begins again
			c.wrongf("raw %s[%d]@%d: doubled: page and ordinal %s, of %s", stream, r.Partition, r.Offset, at, x.key)
		} else {
			pages[at] = true
		}
		if old := byKey[x.key]; len(old) > 0 {
			switch last := old[len(old)-1]; {
			case last.gone && last.rev == x.rev: // what is created again has another rev
				c.wrongf("raw %s: %s rev %d was deleted, and is there again: %s", stream, x.key, x.rev, history(append(old, x)))
			case last.gone:
			case stream == "moving": // one slice does not know what another wrote
			case stream == "hooks", stream == "windows" && last.rev >= x.rev: // a delivery may come twice, a window that is cut too
			case last.rev == x.rev:
				c.wrongf("raw %s: doubled: %s rev %d at [%d]@%d and @%d", stream, x.key, x.rev, x.partition, last.offset, x.offset)
			case last.rev > x.rev && !hasVersion(stream): // whose answers may overtake each other
				c.wrongf("raw %s: out of order: %s rev %d at [%d]@%d, after rev %d", stream, x.key, x.rev, x.partition, x.offset, last.rev)
			}
		}
		byKey[x.key] = append(byKey[x.key], x)
		c.at[place{stream, x.partition, x.offset}] = x
	})
	if err != nil {
		return err
	}
	there := c.source.newest(stream)
	for key, all := range byKey {
		if _, ok := there[key]; !ok && !c.newestOf(all, func(rawRecord) bool { return true }).gone {
			c.wrongf("raw %s: %s is there, which the API has not any more: %s", stream, key, history(all))
		}
	}
	for key, rev := range there {
		all := byKey[key]
		if len(all) == 0 {
			c.wrongf("raw %s: missing: %s, which the API serves at rev %d", stream, key, rev)
			continue
		}
		newest := all[0].rev
		for _, x := range all {
			newest = max(newest, x.rev)
		}
		if newest != rev || !hasVersion(stream) && all[len(all)-1].rev != rev {
			c.wrongf("raw %s: stale: %s is at rev %d, the API at %d: %s", stream, key, all[len(all)-1].rev, rev, history(all))
		}
	}
	return nil
}

func history(all []rawRecord) string {
	var b strings.Builder
	for _, x := range all {
		what := "row"
		switch {
		case x.gone:
			what = "tombstone"
		case x.filtered():
			what = "filtered"
		case x.refusedByStep():
			what = "refused by a step"
		case x.refusedByTable():
			what = "refused by the table"
		}
		fmt.Fprintf(&b, " [%d]@%d rev %d %s;", x.partition, x.offset, x.rev, what)
	}
	return b.String()
}

// readOutcomes checks P2 and P4: every raw record has one outcome in a line, the right one, in raw order. It returns
// the ids of the letters of the sink, by raw place.
func (c *comparison) readOutcomes(ctx context.Context, brokers []string, stream string, l line) (map[place]bool, error) {
	outcomes := map[place]int{}
	by := map[made]int{}
	last := map[int32]int64{}         // in the first generation; later ones may be of a redo, too
	processedAt := map[string]place{} // mr-id of a letter that the sink would send → raw place
	bytesOf := map[string][]byte{}    // and the value that it would have
	topic := topics.Processed(l.pipeline, stream)
	err := testkit.Read(ctx, brokers, topic, func(r *kgo.Record) {
		version, _ := topics.Header(r, topics.HeaderVersion)
		v, err := topics.ParseVersion(version)
		p := place{stream, r.Partition, v.Offset()}
		id := topics.LetterID("sink", topic, 0, r.Partition, r.Offset)
		processedAt[id], bytesOf[id] = p, r.Value
		if _, again := topics.Header(r, copyHeader); again {
			c.counts["copies"]++
			return
		}
		c.counts["processed"]++
		x, ok := c.at[p]
		switch {
		case err != nil || !ok:
			c.wrongf("processed %s[%d]@%d: of no raw record (%s, %v)", stream, r.Partition, r.Offset, v, err)
			return
		case v.Generation() == 1 && v.Offset() < last[r.Partition]:
			c.wrongf("processed %s[%d]@%d: raw offset %d after %d", stream, r.Partition, r.Offset, v.Offset(), last[r.Partition]-1)
		}
		if v.Generation() == 1 {
			last[r.Partition] = v.Offset() + 1
		}
		outcomes[p]++
		if at := (made{p, strconv.Itoa(int(v.Generation()))}); by[at] > 0 {
			c.wrongf("processed %s: doubled: raw [%d]@%d of %s, generation %s", stream, p.partition, p.offset, x.key, at.generation)
		} else {
			by[at]++
		}
		if l.shadow || v.Generation() >= c.live[stream] {
			c.value(r, x, l)
		}
	})
	if err != nil {
		return nil, err
	}
	refused := map[place]bool{}
	err = testkit.Read(ctx, brokers, topics.DeadLetters(l.pipeline, stream), func(r *kgo.Record) {
		id, _ := topics.Header(r, topics.HeaderID)
		if strings.HasPrefix(string(id), "sink:") {
			c.counts["sink letters"]++
			p := processedAt[string(id)]
			if refused[p] = true; !bytes.Equal(r.Value, bytesOf[string(id)]) || string(r.Key) != c.at[p].key {
				c.wrongf("letter %s: has not the bytes of its origin: %s", id, r.Value)
			}
			return
		}
		c.counts["processor letters"]++
		var p place
		parts := strings.Split(string(id), ":")
		_, err := fmt.Sscanf(strings.Join(parts[3:], " "), "%d %d", &p.partition, &p.offset)
		p.stream = stream
		x, ok := c.at[p]
		if err != nil || !ok || !x.refusedByStep() || string(r.Value) != x.json() {
			c.wrongf("letter %s: of no raw record that a step refuses", id)
		}
		outcomes[p]++
		if at := (made{p, generationOf(r)}); by[at] > 0 {
			c.wrongf("letter %s: doubled outcome of %s, generation %s", id, x.key, at.generation)
		} else {
			by[at]++
		}
	})
	for p, x := range c.at {
		if p.stream == stream && outcomes[p] == 0 {
			c.wrongf("%s: raw [%d]@%d of %s rev %d has no outcome", stream, p.partition, p.offset, x.key, x.rev)
		}
	}
	return refused, err
}

// value checks a processed record of a line against the raw one.
func (c *comparison) value(r *kgo.Record, x rawRecord, l line) {
	key := l.keyOf(x.revision)
	if r.Value == nil {
		pk, _ := topics.Header(r, topics.HeaderPK)
		if !x.filtered() || string(pk) != fmt.Sprintf("[%q]", key) {
			c.wrongf("processed %s[%d]@%d: no rows and pk %s, of %s", x.stream, r.Partition, r.Offset, pk, x.json())
		}
		return
	}
	var got struct {
		ID     string      `json:"id"`
		Code   string      `json:"code"`
		Rev    int64       `json:"rev"`
		Amount json.Number `json:"amount"`
		Note   string      `json:"note"`
	}
	err := json.Unmarshal(r.Value, &got)
	want := l.row(x.revision)
	if x.refusedByTable() {
		want.note = strings.Repeat("too long ", 4)
	}
	if err != nil || x.filtered() || x.refusedByStep() || got.ID+got.Code != key || (tableRow{got.Rev, got.Amount.String(), got.Note}) != want {
		c.wrongf("processed %s[%d]@%d: %s, of %s", x.stream, r.Partition, r.Offset, r.Value, x.json())
	}
}

// letters checks P6: only refused rows have a letter, and each whose revision is the newest of its key has one.
func (c *comparison) letters(stream string, refused map[place]bool) {
	for p := range refused {
		if x, ok := c.at[p]; !ok || !x.refusedByTable() {
			c.wrongf("%s: the sink sent a letter of %s rev %d, which the table takes", stream, x.key, x.rev)
		}
	}
	for _, all := range c.raw[stream] {
		newest := c.newestOf(all, func(rawRecord) bool { return true })
		if newest != nil && newest.refusedByTable() && !refused[place{stream, newest.partition, newest.offset}] {
			c.wrongf("%s: %s rev %d is refused by the table, and has no letter: %s", stream, newest.key, newest.rev, history(all))
		}
	}
}

// newestOf is the raw record with the highest version among those that count.
func (c *comparison) newestOf(all []rawRecord, counts func(rawRecord) bool) *rawRecord {
	var newest *rawRecord
	for i := range all {
		x := &all[i]
		later := newest == nil || x.offset > newest.offset
		if newest != nil && hasVersion(x.stream) {
			later = x.rev > newest.rev || x.rev == newest.rev && later
		}
		if later && counts(*x) {
			newest = x
		}
	}
	return newest
}

// table checks P3 and P5: the table of a line is what its meaning gives, row by row and column by column.
func (c *comparison) table(ctx context.Context, db *sql.DB, stream string, l line) error {
	rows, err := db.QueryContext(ctx, "SELECT "+l.key(stream)+", rev, amount, note FROM "+l.table)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	got := map[string]tableRow{}
	for rows.Next() {
		var id string
		var r tableRow
		if err := rows.Scan(&id, &r.rev, &r.amount, &r.note); err != nil {
			return err
		}
		c.counts["rows"]++
		got[id] = r
	}
	for key, all := range c.raw[stream] {
		newest := c.newestOf(all, func(x rawRecord) bool { return x.good() })
		row, ok := got[l.keyOf(all[0].revision)]
		delete(got, l.keyOf(all[0].revision))
		switch {
		case newest == nil || newest.filtered():
			if ok {
				c.wrongf("table %s: %s has a row of rev %d and must have none: %s", l.table, key, row.rev, history(all))
			}
		case !ok:
			c.wrongf("table %s: no row of %s, which is at rev %d: %s", l.table, key, newest.rev, history(all))
		case row != l.row(newest.revision):
			c.wrongf("table %s: %s is %+v and must be %+v: %s", l.table, key, row, l.row(newest.revision), history(all))
		}
	}
	for key, row := range got {
		c.wrongf("table %s: a row %s of rev %d that nothing in raw gives", l.table, key, row.rev)
	}
	return rows.Err()
}

// String is the counts and the violations.
func (c *comparison) String() string {
	s := fmt.Sprintf("%d raw records, %d processed, %d letters of the processor, %d of the sink, %d copies sent again, %d tombstones, %d rows; %d violations",
		c.counts["raw"], c.counts["processed"], c.counts["processor letters"], c.counts["sink letters"], c.counts["copies"], c.counts["tombstones"], c.counts["rows"], c.counts["violations"])
	var sSb347 strings.Builder
	for _, v := range c.violations {
		sSb347.WriteString("\n  " + v)
	}
	s += sSb347.String()
	return s
}
