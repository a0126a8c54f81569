package embedded_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// began starts a broker on dir with the pipeline's topics, and a producer.
func began(t *testing.T, dir string) (*pipeline.Pipeline, *kgo.Client) {
	t.Helper()
	p := shop(dir)
	start(t, p)
	cl := client(t, p, kgo.TransactionalID("ingest"), kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := admin.Ensure(soon(t), kadm.NewClient(cl), topics.Specs(p)); err != nil {
		t.Fatal(err)
	}
	return p, cl
}

// produce begins a transaction of one record for each partition, numbered from n on.
func produce(t *testing.T, cl *kgo.Client, n int) {
	t.Helper()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		r := &kgo.Record{Partition: int32(i), Value: []byte(strconv.Itoa(n + i))}
		if err := cl.ProduceSync(soon(t), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// offset commits a next offset of the group within the transaction.
func offset(t *testing.T, cl *kgo.Client, at int64) {
	t.Helper()
	id, epoch, err := cl.ProducerID(soon(t))
	if err != nil {
		t.Fatal(err)
	}
	r := kmsg.NewPtrTxnOffsetCommitRequest()
	r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Group = "ingest", id, epoch, group
	partition := kmsg.NewTxnOffsetCommitRequestTopicPartition()
	partition.Offset = at
	partition.Metadata = new("why")
	in := kmsg.NewTxnOffsetCommitRequestTopic()
	details, err := kadm.NewClient(cl).ListTopics(soon(t), topic)
	if err != nil {
		t.Fatal(err)
	}
	in.TopicID = details[topic].ID // as kgo's own commits: the name is not sent
	in.Topic, in.Partitions = topic, []kmsg.TxnOffsetCommitRequestTopicPartition{partition}
	r.Topics = append(r.Topics, in)
	answer, err := r.RequestWith(soon(t), cl)
	if err != nil {
		t.Fatal(err)
	}
	if code := answer.Topics[0].Partitions[0].ErrorCode; code != 0 {
		t.Fatalf("offset commit: error code %d", code)
	}
}

func commit(t *testing.T, cl *kgo.Client) {
	t.Helper()
	if err := cl.EndTransaction(soon(t), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
}

// killed returns a copy of dir: what a kill at this moment would leave.
func killed(t *testing.T, dir string) string {
	t.Helper()
	image := t.TempDir()
	if err := os.CopyFS(image, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return image
}

func want(t *testing.T, dir string, numbers []int, next int64) {
	t.Helper()
	got, at := read(t, dir)
	slices.Sort(got)
	if !slices.Equal(got, numbers) || at != next {
		t.Errorf("%v and offset %d, want %v and %d", got, at, numbers, next)
	}
}

// A transaction that a kill left open stays without effect, also when its producer comes back and is killed again, and
// the producer's later transactions are all there.
func TestAnOpenTransactionIsAborted(t *testing.T) {
	dir := t.TempDir()
	for life := range 3 {
		_, cl := began(t, dir)
		produce(t, cl, 100*life)
		commit(t, cl)
		produce(t, cl, 100*life+50)
		offset(t, cl, 99)
		dir = killed(t, dir)
	}
	want(t, dir, []int{0, 1, 2, 100, 101, 102, 200, 201, 202}, 0)
	want(t, dir, []int{0, 1, 2, 100, 101, 102, 200, 201, 202}, 0)
}

// A kill within a commit, after the marker of some partitions, leaves a transaction that is committed.
func TestACommitThatWasBegunIsFinished(t *testing.T) {
	for _, cut := range [][]int{{0, 1, 2}, {1}, {2}, {}} {
		dir := t.TempDir()
		_, cl := began(t, dir)
		produce(t, cl, 0)
		commit(t, cl)
		produce(t, cl, 10)
		offset(t, cl, 7)
		before := killed(t, dir)
		commit(t, cl)

		image := killed(t, dir)
		for _, n := range cut {
			cutLastBatch(t, filepath.Join(image, "kafka", "partitions", topic+"-"+strconv.Itoa(n)))
		}
		// The offsets come after the last marker.
		copyFile(t, before, image, filepath.Join("kafka", "groups.log"))
		copyFile(t, before, image, filepath.Join("kafka", "pids.log"))
		want(t, image, []int{0, 1, 2, 10, 11, 12}, 7)
		want(t, image, []int{0, 1, 2, 10, 11, 12}, 7)
	}
}

// An abort is not taken for a commit because an earlier transaction was committed.
func TestACommitDoesNotSpeakForTheNextTransaction(t *testing.T) {
	dir := t.TempDir()
	_, cl := began(t, dir)
	produce(t, cl, 0)
	offset(t, cl, 7)
	commit(t, cl)
	produce(t, cl, 10)
	want(t, killed(t, dir), []int{0, 1, 2}, 7)

	if err := cl.EndTransaction(soon(t), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	image := killed(t, dir)
	cutLastBatch(t, filepath.Join(image, "kafka", "partitions", topic+"-1"))
	want(t, image, []int{0, 1, 2}, 7)
}

// Whatever a kill left of the last write goes, and a batch of a transaction without its index entry stays what it is.
func TestATornWriteIsCut(t *testing.T) {
	dir := t.TempDir()
	_, cl := began(t, dir)
	produce(t, cl, 0)
	commit(t, cl)
	produce(t, cl, 10)
	for name, tear := range map[string]func(partition string){
		"part of a head":  func(p string) { appendTo(t, p, ".dat", make([]byte, 20)) },
		"part of a batch": func(p string) { appendTo(t, p, ".dat", lastBatch(t, p)[:70]) },
		"damaged batch": func(p string) {
			b := slices.Clone(lastBatch(t, p))
			b[len(b)-1]++
			appendTo(t, p, ".dat", b)
		},
		"no index entry": func(p string) { shorten(t, p, ".idx", 15) },
		"torn entry":     func(p string) { shorten(t, p, ".idx", 3) },
		"no index":       func(p string) { shorten(t, p, ".idx", 45) },
		"no batch":       func(p string) { appendTo(t, p, ".idx", make([]byte, 15)) },
	} {
		t.Run(name, func(t *testing.T) {
			image := killed(t, dir)
			tear(filepath.Join(image, "kafka", "partitions", topic+"-1"))
			want(t, image, []int{0, 1, 2}, 0)
			want(t, image, []int{0, 1, 2}, 0)
		})
	}
}

func segment(t *testing.T, partition, suffix string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(partition, "*"+suffix))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v %v, want one segment", files, err)
	}
	return files[0]
}

func content(t *testing.T, file string) []byte {
	t.Helper()
	c, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lastBatch(t *testing.T, partition string) []byte {
	t.Helper()
	c := content(t, segment(t, partition, ".dat"))
	for {
		size := 12 + int(binary.BigEndian.Uint32(c[8:]))
		if size == len(c) {
			return c
		}
		c = c[size:]
	}
}

func cutLastBatch(t *testing.T, partition string) {
	t.Helper()
	shorten(t, partition, ".dat", len(lastBatch(t, partition)))
	shorten(t, partition, ".idx", 15)
}

func shorten(t *testing.T, partition, suffix string, by int) {
	t.Helper()
	file := segment(t, partition, suffix)
	if err := os.Truncate(file, int64(len(content(t, file))-by)); err != nil {
		t.Fatal(err)
	}
}

func appendTo(t *testing.T, partition, suffix string, what []byte) {
	t.Helper()
	file := segment(t, partition, suffix)
	if err := os.WriteFile(file, append(content(t, file), what...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(to, name), content(t, filepath.Join(from, name)), 0o600); err != nil {
		t.Fatal(err)
	}
}
