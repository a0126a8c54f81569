package ingest

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

// TestOrphansAreBounded: of children with more keys than may be held at once, some are left for another look; those
// that are not have all their keys.
func TestOrphansAreBounded(t *testing.T) {
	o := orphans{of: map[string]*child{}, keys: map[string]orphan{}, most: 50}
	for i := range 20 {
		o.of[fmt.Sprint(i)] = &child{name: fmt.Sprint(i)}
	}
	for j := range 10 {
		for i := range 20 {
			h := topics.RawHeaders{PageID: "1", Slice: fmt.Sprint(i)}
			o.see(&kgo.Record{Key: fmt.Appendf(nil, "%d-%d", i, j), Value: []byte("{}"), Headers: h.Append(nil)})
			if len(o.keys) > o.most {
				t.Fatalf("%d keys are held", len(o.keys))
			}
		}
	}
	if n := len(o.of); n == 0 || n > 5 || len(o.keys) != 10*n {
		t.Errorf("%d children, and %d keys", len(o.of), len(o.keys))
	}
	for name := range o.of {
		o.see(&kgo.Record{Key: []byte(name + "-3"), Headers: topics.RawHeaders{PageID: "1", Slice: name}.Append(nil)})
		o.see(&kgo.Record{Key: []byte(name + "-4"), Value: []byte("{}"), Headers: topics.RawHeaders{PageID: "1", Slice: "another"}.Append(nil)})
	}
	if len(o.keys) != 8*len(o.of) {
		t.Errorf("%d keys of %d children: what is deleted, or another's, is none of them", len(o.keys), len(o.of))
	}
}

// TestTombstonesOfManyChildrenArePieces: no transaction has to hold them all.
func TestTombstonesOfManyChildrenArePieces(t *testing.T) {
	l := &listing{of: map[*child]int64{}, orphans: map[*child][]*kgo.Record{}}
	for i := range 30 {
		c := &child{name: fmt.Sprint(i)}
		l.removed = append(l.removed, c)
		if i != 7 {
			l.orphans[c] = make([]*kgo.Record, 1000)
		}
	}
	large := &child{name: "large"}
	l.removed = append(l.removed, large)
	l.orphans[large] = make([]*kgo.Record, 3*writtenOrphan)
	removed, tombstones := 0, 0
	for _, piece := range l.pieces() {
		if n := piece.tombstones(); len(piece.removed) == 0 || n > writtenOrphan && len(piece.removed) > 1 {
			t.Errorf("%d tombstones of %d children at once", n, len(piece.removed))
		}
		removed += len(piece.removed)
		tombstones += piece.tombstones()
	}
	if removed != 31 || tombstones != 29*1000+3*writtenOrphan {
		t.Errorf("%d children, %d tombstones", removed, tombstones)
	}
}
