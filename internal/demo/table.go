package demo

import (
	"context"
	"database/sql"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/demo/quakeapi"
)

// Table is the demonstration's table, read beside the sink, which alone writes it. It may be used concurrently.
type Table struct {
	DB   *sql.DB
	Name string // a plain identifier
}

const rowColumns = "id, time, magnitude, place, longitude, latitude, depth_km, status, updated"

// HasRows says whether there is a row. A table that is not there yet has none.
func (t Table) HasRows(ctx context.Context) bool {
	var one int
	return t.DB.QueryRowContext(ctx, "SELECT 1 FROM "+t.Name+" LIMIT 1").Scan(&one) == nil
}

// Strongest returns the n rows of the greatest magnitude, and how many rows there are.
func (t Table) Strongest(ctx context.Context, n int) (rows []quakeapi.Row, all int, err error) {
	if err := t.DB.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+t.Name).Scan(&all); err != nil {
		return nil, 0, fmt.Errorf("count rows of %s: %w", t.Name, err)
	}
	rows, err = t.query(ctx, fmt.Sprintf("ORDER BY magnitude DESC, id LIMIT %d", n))
	return rows, all, err
}

// NextOffsets are the sink's positions: by topic and partition the offset of the record that it writes next. Partitions
// that have never had one are not there.
func (t Table) NextOffsets(ctx context.Context) (map[string]map[int32]int64, error) {
	found, err := t.DB.QueryContext(ctx, "SELECT topic, part, next_offset FROM millrace_offsets")
	if err != nil {
		return nil, fmt.Errorf("read millrace_offsets: %w", err)
	}
	defer func() { _ = found.Close() }()
	next := map[string]map[int32]int64{}
	for found.Next() {
		var topic string
		var partition int32
		var offset int64
		if err := found.Scan(&topic, &partition, &offset); err != nil {
			return nil, fmt.Errorf("read millrace_offsets: %w", err)
		}
		if next[topic] == nil {
			next[topic] = map[int32]int64{}
		}
		next[topic][partition] = offset
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read millrace_offsets: %w", err)
	}
	return next, nil
}

// query returns the rows that a tail of a SELECT leaves.
func (t Table) query(ctx context.Context, tail string) ([]quakeapi.Row, error) {
	found, err := t.DB.QueryContext(ctx, "SELECT "+rowColumns+" FROM "+t.Name+" "+tail)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	defer func() { _ = found.Close() }()
	var rows []quakeapi.Row
	for found.Next() {
		var r quakeapi.Row
		var at, updated string
		if err := found.Scan(&r.ID, &at, (*string)(&r.Magnitude), &r.Place, (*string)(&r.Longitude),
			(*string)(&r.Latitude), (*string)(&r.DepthKm), &r.Status, &updated); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.Name, err)
		}
		r.Time, r.Updated = timeText(at), timeText(updated)
		rows = append(rows, r)
	}
	if err := found.Err(); err != nil {
		return nil, fmt.Errorf("read %s: %w", t.Name, err)
	}
	return rows, nil
}

// timeText is a time as the API's rows write it, whichever way the database's driver does.
func timeText(text string) string {
	for _, layout := range []string{time.DateTime, time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC().Format(quakeapi.TimeLayout)
		}
	}
	return text
}

// Difference is what a table has otherwise than it should, by id.
type Difference struct {
	Rows    int      // in the table
	Missing []string // not in the table
	Extra   []string // in the table, though there should be no such row
	Stale   []string // of an older revision
	Newer   []string // of a later revision: the table was fed before by a server that had gone further
	Wrong   []string // of the right revision, with another value
}

// Equal says that there is no difference.
func (d Difference) Equal() bool {
	return len(d.Missing)+len(d.Extra)+len(d.Stale)+len(d.Newer)+len(d.Wrong) == 0
}

// Mirrors says that the table has all that it should. What is newer than the API is no fault of the table.
func (d Difference) Mirrors() bool {
	return len(d.Missing)+len(d.Extra)+len(d.Stale)+len(d.Wrong) == 0
}

// String names what differs, with a few ids of each kind.
func (d Difference) String() string {
	if d.Equal() {
		return fmt.Sprintf("%d rows, no difference", d.Rows)
	}
	var differences []string
	for _, p := range []struct {
		what string
		ids  []string
	}{{"missing", d.Missing}, {"too many", d.Extra}, {"stale", d.Stale}, {"newer", d.Newer}, {"with other values", d.Wrong}} {
		if n := len(p.ids); n > 0 {
			differences = append(differences, fmt.Sprintf("%d %s (%s)", n, p.what, strings.Join(p.ids[:min(n, 3)], ", ")))
		}
	}
	return fmt.Sprintf("%d rows: ", d.Rows) + strings.Join(differences, "; ")
}

// Compare reads the whole table and compares it with what it should be.
func (t Table) Compare(ctx context.Context, want []quakeapi.Row) (Difference, error) {
	rows, err := t.query(ctx, "")
	if err != nil {
		return Difference{}, err
	}
	d := Difference{Rows: len(rows)}
	have := make(map[string]quakeapi.Row, len(rows))
	for _, r := range rows {
		have[r.ID] = r
	}
	for _, w := range want {
		r, ok := have[w.ID]
		delete(have, w.ID)
		switch {
		case !ok:
			d.Missing = append(d.Missing, w.ID)
		case r.Updated < w.Updated:
			d.Stale = append(d.Stale, w.ID)
		case r.Updated > w.Updated:
			d.Newer = append(d.Newer, w.ID)
		case !sameRow(r, w):
			d.Wrong = append(d.Wrong, w.ID)
		}
	}
	for _, r := range rows {
		if _, left := have[r.ID]; left {
			d.Extra = append(d.Extra, r.ID)
		}
	}
	return d, nil
}

// sameRow compares numbers by value: 4.5 is 4.50.
func sameRow(a, b quakeapi.Row) bool {
	same := func(x, y string) bool {
		p, okP := new(big.Rat).SetString(x)
		q, okQ := new(big.Rat).SetString(y)
		return okP && okQ && p.Cmp(q) == 0
	}
	return a.Time == b.Time && a.Place == b.Place && a.Status == b.Status &&
		same(a.Magnitude.String(), b.Magnitude.String()) && same(a.Longitude.String(), b.Longitude.String()) &&
		same(a.Latitude.String(), b.Latitude.String()) && same(a.DepthKm.String(), b.DepthKm.String())
}
