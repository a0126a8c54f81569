package rows

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// TestDecode: what a processed record becomes, or why it is a letter.
func TestDecode(t *testing.T) {
	two := NewTable(&pipeline.Stream{Name: "s", Sink: pipeline.Sink{Table: "t", Columns: []pipeline.ColumnType{
		{Name: "b", Type: "int", Key: true}, {Name: "n", Type: "json"}, {Name: "a", Type: "varchar(9)", Key: true},
	}}})
	v := topics.NewVersion(0, 0, 1, 1)
	for _, test := range []struct{ value, pk, row, key, reason string }{
		{value: `{"a":"x","b":7,"n":[1, null]}`, row: `7,'[1, null]','x'`, key: `7,'x'`},
		{value: ` { "other" : {"a":1}, "\u0062":7, "a" : "it's" } `, row: `7,NULL,'it's'`, key: `7,'it's'`},
		{value: `{"a":"x","b":7,"n":true}`, row: `7,'true','x'`, key: `7,'x'`},
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
		var x Change
		NewDecoder().Decode(&x, two, r)
		switch {
		case test.reason != "":
			if x.Reason == nil || !strings.Contains(x.Reason.Error(), test.reason) {
				t.Errorf("%s%s: %v, want %q", test.value, test.pk, x.Reason, test.reason)
			}
		case x.Reason != nil || shown(x.Row) != test.row || shown(x.Key) != test.key || x.Remove != (test.pk != ""):
			t.Errorf("%s%s: row %s key %s (%v), want %s key %s", test.value, test.pk, shown(x.Row), shown(x.Key), x.Reason, test.row, test.key)
		}
	}
}
