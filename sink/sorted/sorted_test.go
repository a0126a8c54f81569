package sorted_test

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/sink/sorted"
)

type entry struct {
	key    rows.Values
	record *kgo.Record
}

// some are records whose offsets rise, with few keys, texts that are nil or empty, and now and then a large one.
func some(dice *rand.Rand, n int) (all []entry) {
	texts := [][]byte{nil, {}, []byte("a"), bytes.Repeat([]byte("b"), 300)}
	for i := range n {
		var e entry
		if dice.IntN(10) > 0 {
			e.key = e.key.Append(rows.Number, fmt.Append(nil, dice.IntN(n/3+1))).Append(rows.Text, texts[1+dice.IntN(3)])
		}
		e.record = &kgo.Record{
			Topic: "t", Partition: dice.Int32N(3), Offset: int64(i), Timestamp: time.UnixMilli(dice.Int64N(1 << 40)), Key: texts[dice.IntN(4)], Value: texts[dice.IntN(4)],
		}
		if dice.IntN(200) == 0 {
			e.record.Value = bytes.Repeat([]byte{byte(i)}, 20_000)
		}
		for range dice.IntN(3) {
			e.record.Headers = append(e.record.Headers, kgo.RecordHeader{Key: "h", Value: texts[dice.IntN(4)]})
		}
		all = append(all, e)
	}
	return all
}

func add(t *testing.T, s *sorted.Sorter, all []entry) {
	t.Helper()
	for _, e := range all {
		if err := s.Add(e.key, e.record); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSorted: whatever the memory is, all records come back as they were, in the order of key, partition and offset.
func TestSorted(t *testing.T) {
	dice := rand.New(rand.NewPCG(1, 1))
	for _, n := range []int{0, 1, 7, 3000} {
		for _, memory := range []int{4 << 10, 64 << 10, 8 << 20} {
			t.Run(fmt.Sprint(n, " in ", memory), func(t *testing.T) {
				dir := t.TempDir()
				s := sorted.New("t", dir, memory)
				all := some(dice, n)
				add(t, s, all)
				m, err := s.Merge()
				if err != nil {
					t.Fatal(err)
				}
				slices.SortFunc(all, func(a, b entry) int {
					return cmp.Or(rows.CompareKeys(a.key, b.key), cmp.Compare(a.record.Partition, b.record.Partition), cmp.Compare(a.record.Offset, b.record.Offset))
				})
				for i, e := range all {
					got, err := m.Next()
					if err != nil {
						t.Fatal(err)
					}
					if len(e.record.Headers) == 0 {
						e.record.Headers = got.Headers[:0]
					}
					if !reflect.DeepEqual(e.record, got) { // nil is not empty
						t.Fatalf("%d: got %+v, want %+v", i, got, e.record)
					}
				}
				if _, err := m.Next(); !errors.Is(err, io.EOF) {
					t.Errorf("after the last: %v", err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
					t.Errorf("left behind: %v, %v", left, err)
				}
			})
		}
	}
}

// TestNoPlace: without a directory for the file there is an error, and it is that of Add.
func TestNoPlace(t *testing.T) {
	s := sorted.New("t", filepath.Join(t.TempDir(), "none"), 4<<10)
	var err error
	for _, e := range some(rand.New(rand.NewPCG(2, 2)), 1000) {
		if err = s.Add(e.key, e.record); err != nil {
			break
		}
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v, want that the directory is not there", err)
	}
}
