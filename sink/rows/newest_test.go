package rows

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

func keyTable(sqlType string) *Table {
	return NewTable(&pipeline.Stream{Name: "s", Sink: pipeline.Sink{Table: "things", Columns: []pipeline.ColumnType{
		{Name: "id", Type: sqlType, Key: true},
	}}})
}

func upsertOf(t *Table, key string, raw int64) Change {
	x := Change{Table: t, Record: &kgo.Record{Key: []byte(key)}, Version: topics.NewVersion(0, 0, raw, 1)}
	x.Key = x.Key.Append(Text, []byte(key))
	return x
}

func TestNewestGood(t *testing.T) {
	things := keyTable("varchar(20)")
	removed := upsertOf(things, "b", 9)
	removed.Remove = true
	refused := upsertOf(things, "a", 7)
	refused.Reason = errors.New("too long")
	all := Newest([]Change{
		upsertOf(things, "b", 2), upsertOf(things, "a", 5), refused, upsertOf(things, "a", 4), removed, upsertOf(things, "b", 3), upsertOf(things, "c", 1),
	})
	if len(all) != 1 {
		t.Fatalf("%d shares, want 1", len(all))
	}
	s := all[0]
	var got []string
	for _, x := range slices.Concat(s.Upserts, s.Removes) {
		got = append(got, fmt.Sprint(string(x.Key.At(0).Bytes), x.Version.Offset()))
	}
	if want := []string{"a5", "c1", "b9"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if !s.HadRow["b"] || s.Superseded != 3 {
		t.Errorf("had %v, stale %d; want b among them, and 3", s.HadRow, s.Superseded)
	}
}

func TestInKeyOrder(t *testing.T) {
	for sqlType, want := range map[string][]string{
		"bigint":      {"7", "9", "10", "100", "1000000000000000000", "1000000000000000001"},
		"varchar(20)": {"a", "ab", "abcdefghij1", "abcdefghij10", "abcdefghij2", "b"},
	} {
		things := keyTable(sqlType)
		var changes []*Change
		for _, i := range []int{3, 0, 5, 1, 4, 2} {
			x := upsertOf(things, want[i], 1)
			changes = append(changes, &x)
		}
		inKeyOrder(changes)
		var got []string
		for _, x := range changes {
			got = append(got, string(x.Key.At(0).Bytes))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", sqlType, got, want)
		}
	}
}
