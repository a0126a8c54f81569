//go:build integration

package e2e

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// revision is one revision of one record of the source. All that it holds follows from its stream, its key and its rev,
// so that a reader of one knows what it must be.
type revision struct {
	stream string
	key    string
	rev    int64 // grows with each change in the stream
}

// dice are the properties of a revision: numbers from 0 to 99.
func (r revision) dice(what string) int {
	h := fnv.New64a()
	_, _ = fmt.Fprintf(h, "%s/%s/%d/%s", r.stream, r.key, r.rev, what)
	return int((h.Sum64() >> 20) % 100)
}

// What becomes of a revision on its way.
func (r revision) filtered() bool      { return r.dice("draft") < 12 }
func (r revision) refusedByStep() bool { return !r.filtered() && r.dice("step") < 4 }
func (r revision) refusedByTable() bool {
	return !r.filtered() && !r.refusedByStep() && r.dice("table") < 4
}

// good reports whether the revision counts for the table: a filtered one does, it has no rows.
func (r revision) good() bool { return !r.refusedByStep() && !r.refusedByTable() }

// region is the slice of a stream whose records move that the revision is in.
func (r revision) region() string { return regions[r.dice("region")%len(regions)] }

// json is the record as the API sends it.
func (r revision) json() string {
	status, amount, note := "active", strconv.FormatInt(r.rev*10+int64(r.dice("amount")), 10), "n"+strconv.FormatInt(r.rev, 36)
	if r.filtered() {
		status = "draft"
	}
	if r.refusedByStep() {
		amount = `"to be determined"`
	}
	if r.refusedByTable() {
		note = strings.Repeat("too long ", 4)
	}
	return fmt.Sprintf(`{"id": %q,"rev":%d, "status":%q,"amount":%s,"note":%q,"padding":"%s"}`,
		r.key, r.rev, status, amount, note, strings.Repeat("x", r.dice("padding")))
}

// row is what the table holds of it: id, rev, amount and note.
func (r revision) row() tableRow {
	return tableRow{rev: r.rev, amount: strconv.FormatInt((r.rev*10+int64(r.dice("amount")))*2, 10), note: "n" + strconv.FormatInt(r.rev, 36)}
}

type tableRow struct {
	rev          int64
	amount, note string
}

// steps and sink of every stream.
const processAndSink = `
    process:
      - filter: status != "draft"
      - map: {id: id, rev: rev, amount: amount * 2, note: note}
    sink:
      table: %s
      columns: {id: varchar(40) key, rev: bigint, amount: bigint, note: varchar(20)}
`
