package sink

import (
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/dialect/mysql"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// flightsTable is the table of the standard workload of bench.
var flightsTable = pipeline.Sink{Table: "flights", Columns: []pipeline.ColumnType{
	{Name: "flight_key", Type: "varchar(64)", Key: true, NotNull: true}, {Name: "carrier", Type: "varchar(8)"},
	{Name: "flight", Type: "int"}, {Name: "origin", Type: "char(3)"}, {Name: "dest", Type: "char(3)"},
	{Name: "dep_delay", Type: "int"}, {Name: "arr_delay", Type: "int"}, {Name: "distance", Type: "int"},
	{Name: "speed_kmh", Type: "double"}, {Name: "time_hour", Type: "datetime"},
}}

const benchPartitions = 6

// flights makes processed records in the order of their keys, spread over partitions by key. Each round has
// new records of the same keys, from round 1.
func flights(n, round int) (byPartition [benchPartitions][]*kgo.Record) {
	for i := range n {
		hour := time.Date(2013, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i/40) * time.Hour).Format(time.RFC3339)
		key := fmt.Sprintf("%s|%s|%d", hour, []string{"UA", "AA", "B6", "DL"}[i%4], 100+(i*7919)%40*50+i%4)
		h := fnv.New32a()
		_, _ = h.Write([]byte(key))
		partition := int(h.Sum32() % benchPartitions)
		before := byPartition[partition]
		at := int64(round-1)*int64(n) + int64(len(before))
		v := topics.NewVersion(0, 0, at, 1)
		value := fmt.Sprintf(`{"flight_key":"%s","carrier":"%s","flight":%d,"origin":"EWR","dest":"IAH","dep_delay":%d,"arr_delay":%d,"distance":1400,"speed_kmh":%g,"time_hour":"%s"}`,
			key, []string{"UA", "AA", "B6", "DL"}[i%4], 100+i%2000, i%60+round, i%90, 591.2345+float64(i%100), hour)
		byPartition[partition] = append(before, &kgo.Record{
			Topic: topic, Partition: int32(partition), Offset: at, Key: []byte(key), Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: v[:]}},
		})
	}
	return byPartition
}

// BenchmarkDecode measures what the sink itself does for a record of the standard workload: from the record to its
// row, the reduction to the newest of each key, in key order, and the rows' literals.
func BenchmarkDecode(b *testing.B) {
	const n = 20_000
	t := rows.NewTable(&pipeline.Stream{Name: "s", Sink: flightsTable})
	j := &job{}
	for partition, records := range flights(n, 1) {
		c := &claim{topic: topic, partition: int32(partition), table: t}
		j.fill(&polled{c, 0, records}, n, DefaultConfig())
	}
	d, my, text := rows.NewDecoder(), new(mysql.Dialect), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		text = text[:0]
		for _, x := range rows.Newest(newBatch(d, j).changes()...)[0].Upserts {
			text = dialect.AppendRow(text, my, x)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}
