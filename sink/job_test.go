package sink

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/rows"
)

func TestJobsAreBounded(t *testing.T) {
	s := &Sink{cfg: DefaultConfig(), pipeline: &pipeline.Pipeline{}}
	s.cfg.MaxRecords, s.cfg.MaxBatchBytes = 10, 1000
	a, b := &claim{topic: "a"}, &claim{topic: "b"}
	var records []*kgo.Record
	for i := range 25 {
		records = append(records, &kgo.Record{Offset: int64(i), Value: make([]byte, 10)})
	}
	records[20].Value = make([]byte, 5000) // larger than a batch: in one all the same
	var all []polled
	all = extend(all, polled{a, 0, records[:8]})
	all = extend(all, polled{b, 0, records})
	all = extend(all, polled{a, 8, records[8:10]}) // the same partition again
	queue := s.jobs(all)
	var sizes []int
	for _, j := range queue {
		sizes = append(sizes, j.records)
	}
	if want := []int{10, 10, 10, 1, 4}; !slices.Equal(sizes, want) {
		t.Errorf("jobs of %d records, want %d", sizes, want)
	}
	for _, j := range queue {
		seen := map[*claim]int{}
		for _, p := range j.polled {
			seen[p.claim]++
		}
		if seen[a] > 1 || seen[b] > 1 {
			t.Errorf("a partition is in a job %v times", seen)
		}
	}
	pieces := queue[0].pieces(4)
	if len(pieces) != 3 || pieces[2].records != 2 {
		t.Errorf("%d pieces, want 3", len(pieces))
	}
}

// TestJobsHaveEveryPartition: two partitions share each job, and all their records are there, in order.
func TestJobsHaveEveryPartition(t *testing.T) {
	s := &Sink{cfg: DefaultConfig(), pipeline: &pipeline.Pipeline{}}
	s.cfg.MaxRecords = 1000
	want := map[*claim][]*kgo.Record{{partition: 1}: nil, {partition: 2}: nil}
	var all []polled
	for c := range want {
		for i := range 2100 {
			want[c] = append(want[c], &kgo.Record{Offset: int64(2 * i)})
		}
		all = append(all, polled{c, 0, want[c]})
	}
	got, next := map[*claim][]*kgo.Record{}, map[*claim]int64{}
	for _, j := range s.jobs(all) {
		if len(j.polled) != 2 {
			t.Errorf("%d partitions in a job", len(j.polled))
		}
		for _, p := range j.polled {
			if p.from != next[p.claim] {
				t.Errorf("a job begins at %d, and the one before it ends at %d", p.from, next[p.claim])
			}
			got[p.claim] = append(got[p.claim], p.records...)
			next[p.claim] = p.records[len(p.records)-1].Offset + 1
		}
	}
	for c := range want {
		if !slices.Equal(got[c], want[c]) {
			t.Errorf("partition %d: %d records, or in another order; want %d", c.partition, len(got[c]), len(want[c]))
		}
	}
}

// TestJobsThatWaitBecomeOne: few records that come while a writer is busy are in the transaction of those before them.
func TestJobsThatWaitBecomeOne(t *testing.T) {
	s := &Sink{cfg: DefaultConfig(), pipeline: &pipeline.Pipeline{}}
	a, b := &claim{partition: 0}, &claim{partition: 1}
	feed := make(chan []*job, 1)
	records := func(first, n int) (out []*kgo.Record) {
		for i := range n {
			out = append(out, &kgo.Record{Offset: int64(first + i), Value: []byte("12345678")})
		}
		return out
	}
	poll := func(of ...polled) {
		feed <- s.withWaiting(feed, s.jobs(of))
	}
	poll(polled{a, 10, records(10, 3)})
	poll(polled{a, 13, records(13, 2)}, polled{b, 0, records(0, 1)})
	if queue := s.withWaiting(feed, nil); queue != nil {
		t.Errorf("%d jobs of nothing", len(queue))
	}
	queue := <-feed
	if len(queue) != 1 || queue[0].records != 6 || queue[0].bytes != 48 || len(queue[0].polled) != 2 {
		t.Fatalf("%d jobs, the first of %d records, %d bytes, %d partitions", len(queue), queue[0].records, queue[0].bytes, len(queue[0].polled))
	}
	if p := queue[0].polled[0]; p.claim != a || p.from != 10 || len(p.records) != 5 || p.records[4].Offset != 14 {
		t.Errorf("%d records from %d on", len(p.records), p.from)
	}
	poll(polled{a, 15, records(15, fewRecords)})
	if queue := s.withWaiting(feed, s.jobs([]polled{{a, 2000, records(2000, 1)}})); len(queue) != 1 || queue[0].records != 1 {
		t.Errorf("%d jobs, the first of %d records, want the one of the poll", len(queue), queue[0].records)
	}
	if queue := <-feed; len(queue) != 1 || queue[0].records != fewRecords {
		t.Errorf("%d jobs wait, the first of %d records", len(queue), queue[0].records)
	}
}

// TestPiecesOfAFillMoveNothing: a job of a fill that is cut stays where it is, whatever offsets its records have.
func TestPiecesOfAFillMoveNothing(t *testing.T) {
	c := &claim{table: &rows.Table{Stream: "s"}, next: 3}
	var records []*kgo.Record
	for _, offset := range []int64{9, 4, 7, 3, 8} {
		records = append(records, &kgo.Record{Offset: offset})
	}
	j := newJob(nil, "p")
	j.polled, j.records, j.filling = []polled{{c, 3, records}}, len(records), &filling{}
	n := 0
	for _, piece := range j.pieces(2) {
		for _, m := range newBatch(rows.NewDecoder(), piece).moves {
			if n += len(m.changes); m.from != 3 || m.next != 3 || m.high != c.high {
				t.Errorf("from %d to %d", m.from, m.next)
			}
		}
	}
	if n != len(records) {
		t.Errorf("%d records, want %d", n, len(records))
	}
}
