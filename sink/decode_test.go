package sink

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// TestDecode: what a processed record becomes, or why it is a letter.
func TestDecode(t *testing.T) {
	two := newTable(&pipeline.Pipeline{Name: "p"}, &pipeline.Stream{Name: "s", Sink: pipeline.Sink{Table: "t", Columns: []pipeline.ColumnType{
		{Name: "b", Type: "int", Key: true}, {Name: "n", Type: "json"}, {Name: "a", Type: "varchar(9)", Key: true},
	}}})
	v := topics.NewVersion(0, 0, 1, topics.FirstGeneration)
	version := ",X'" + strings.ToUpper(v.String()) + "')"
	for _, test := range []struct{ value, pk, row, key, reason string }{
		{value: `{"a":"x","b":7,"n":[1, null]}`, row: `(7,'[1, null]','x'` + version, key: `7,'x'`},
		{value: ` { "other" : {"a":1}, "\u0062":7, "a" : "it's" } `, row: `(7,NULL,'it\'s'` + version, key: `7,'it\'s'`},
		{value: `{"a":"x","b":7,"n":true}`, row: `(7,'true','x'` + version, key: `7,'x'`},
		{value: `{"a":"x","b":7,"n":false,"b":8}`, reason: "twice"},
		{value: `{"a":"x"}`, reason: "column b: null"},
		{value: `{"a":"x","b":7`, reason: "ends too early"},
		{value: `{"a":"x","b":7}{}`, reason: "more after the object"},
		{value: "{\"a\":\"\xff\",\"b\":7}", reason: "not UTF-8"},
		{value: `[7,"x"]`, reason: "not a JSON object"},
		{pk: `[7,"x"]`, key: `7,'x'`},
		{pk: `[7]`, reason: "not a JSON array of 2 values"},
		{pk: `[7,"x",1]`, reason: "not a JSON array of 2 values"},
		{pk: `[7,"x"`, reason: "not a JSON array of 2 values"},
		{pk: `[7,null]`, reason: "column a: null"},
	} {
		r := &kgo.Record{Headers: []kgo.RecordHeader{{Key: topics.HeaderVersion, Value: v[:]}}}
		if test.pk == "" {
			r.Value = []byte(test.value)
		} else {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: topics.HeaderPK, Value: []byte(test.pk)})
		}
		var x change
		newDecoder(&mySQL{}).change(&x, &claim{table: two}, r)
		switch {
		case test.reason != "":
			if x.reason == nil || !strings.Contains(x.reason.Error(), test.reason) {
				t.Errorf("%s%s: %v, want %q", test.value, test.pk, x.reason, test.reason)
			}
		case x.reason != nil || string(x.row) != test.row || string(x.pk) != test.key || x.remove != (test.pk != ""):
			t.Errorf("%s%s: row %s key %s (%v), want %s key %s", test.value, test.pk, x.row, x.pk, x.reason, test.row, test.key)
		}
	}
}
