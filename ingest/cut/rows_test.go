package cut_test

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/ingest/cut"
	"github.com/millrace-io/millrace/pipeline"
)

func TestRows(t *testing.T) {
	for name, c := range map[string]struct {
		shape   cut.Shape
		columns string
		body    string
		want    string
		err     string
	}{
		"a header row": {
			cut.Shape{}, "", `{"data":[["id","n"],[1,"a"],[2,{"x":[3]}],[4]],"next":"c"}`, `{"id":1,"n":"a"} {"id":2,"n":{"x":[3]}} {"id":4}`, "",
		},
		"names in the body": {
			cut.Shape{Columns: []string{"meta"}}, `[{"type":"int","name":"id"},"n"]`, `{"data":[[1,2]]}`, `{"id":1,"n":2}`, "",
		},
		"names in the file": {cut.Shape{Names: []string{"id", "n\""}}, "", `{"data":[[1,2]]}`, `{"id":1,"n\"":2}`, ""},
		"only the names":    {cut.Shape{}, "", `{"data":[["id"]]}`, "", ""},
		"nothing":           {cut.Shape{}, "", `{"data":[]}`, "", ""},
		"too many":          {cut.Shape{}, "", `{"data":[["id"],[1,2]]}`, "", "row 0: it has 2 values"},
		"no row":            {cut.Shape{}, "", `{"data":[["id"],{"id":1}]}`, "", "no array of values"},
		"one name twice":    {cut.Shape{}, "", `{"data":[["id","id"]]}`, "", "two of its values"},
		"no text":           {cut.Shape{}, "", `{"data":[[1,"a"],[2,"b"]]}`, "", "is no text"},
		"no names":          {cut.Shape{Columns: []string{"x"}}, "", `{"data":[[1]]}`, "", "no array of names at"},
	} {
		t.Run(name, func(t *testing.T) {
			c.shape.Kind = pipeline.ShapeRows
			e := &cut.Envelope{Records: []string{"data"}, Shape: c.shape, MaxRecordBytes: 1 << 20}
			if c.columns != "" {
				e.Columns = jsontext.Value(c.columns)
			}
			for mode, run := range map[string]func(func(int, []byte) error) (cut.Answer, error){
				"memory": func(f func(int, []byte) error) (cut.Answer, error) { return cut.Bytes([]byte(c.body), e, f) },
				"file": func(f func(int, []byte) error) (cut.Answer, error) {
					return cut.Reader(strings.NewReader(c.body), e, f)
				},
			} {
				var got []string
				a, err := run(func(ordinal int, value []byte) error {
					if ordinal != len(got) {
						t.Errorf("ordinal %d, want %d", ordinal, len(got))
					}
					got = append(got, string(value))
					return nil
				})
				if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
					t.Errorf("%s: error %v, want %q", mode, err, c.err)
				}
				if text := strings.Join(got, " "); err == nil && (text != c.want || a.Records != len(got)) {
					t.Errorf("%s: %d records %s, want %s", mode, a.Records, text, c.want)
				}
			}
		})
	}
}
