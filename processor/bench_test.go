package processor

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// BenchmarkWorker makes the outcomes of records of the flights workload: a filter, a map of ten columns, and one record
// in eight without a row.
func BenchmarkWorker(b *testing.B) {
	key := pipeline.ColumnType{Name: "id", Type: "varchar(64)", Key: true}
	columns := []pipeline.Column{{Name: "id", Expr: `time_hour + "|" + carrier + "|" + string(flight)`}}
	types := []pipeline.ColumnType{key}
	for _, name := range []string{"carrier", "flight", "origin", "dest", "dep_delay", "arr_delay", "distance", "time_hour"} {
		columns = append(columns, pipeline.Column{Name: name, Expr: name})
		types = append(types, pipeline.ColumnType{Name: name, Type: "text"})
	}
	columns = append(columns, pipeline.Column{Name: "speed", Expr: `air_time == null ? null : distance * 1.609344 / (air_time / 60)`})
	types = append(types, pipeline.ColumnType{Name: "speed", Type: "double"})
	s := pipeline.Stream{
		Name: "s", Ingest: pipeline.Ingest{Key: []string{"time_hour", "carrier", "flight"}},
		Process: []pipeline.Step{{Filter: &pipeline.Filter{If: `dep_time != null`}}, {Map: columns}},
		Sink:    pipeline.Sink{Table: "t", Columns: types},
	}
	p := &pipeline.Pipeline{Name: "p", Kafka: pipeline.Kafka{MaxRecordBytes: 1 << 20}, Streams: []pipeline.Stream{s}}
	compiled, err := newStream(p, &p.Streams[0], newMetrics(prometheus.NewRegistry()))
	if err != nil {
		b.Fatal(err)
	}
	var records [1024]*kgo.Record
	for i := range records {
		dep := `517`
		if i%8 == 0 {
			dep = `null`
		}
		records[i] = &kgo.Record{
			Key: []byte(`["2013-01-01T10:00:00Z","UA",1545]`), Offset: int64(i),
			Headers: topics.RawHeaders{PageID: "1", Ordinal: i}.Append(nil),
			Value: []byte(`{"year":2013,"month":1,"day":1,"dep_time":` + dep + `,"sched_dep_time":515,"dep_delay":2,"arr_time":830,` +
				`"sched_arr_time":819,"arr_delay":11,"carrier":"UA","flight":1545,"tailnum":"N14228","origin":"EWR","dest":"IAH",` +
				`"air_time":227,"distance":1400,"hour":5,"minute":15,"time_hour":"2013-01-01T10:00:00Z"}`),
		}
	}
	a := newArena()
	w := newWorker(compiled, a)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%len(records) == 0 {
			a.reset()
		}
		w.outcome(records[i%len(records)])
	}
}
