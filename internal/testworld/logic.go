package testworld

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/pipeline"
)

// Stream is the name of the stream of a world. Its table is t, and its raw records are {"id": …, "n": …, "status": …},
// by id.
const Stream = "s"

// Logic is a logic of the stream, from which tests know what it makes.
type Logic struct {
	Refuses string // the records of this status have no row
	By      int    // what column n multiplies n by
	// the expression of column n, if it is not n multiplied by By; it makes the same of what it does not refuse
	N      string
	Code   bool   // the key is column code, a "k" and the id; else it is column id
	Status string // the type of column status, in upper case; empty: there is no such column
}

// Stream is the stream of a file with this logic.
func (l Logic) Stream() pipeline.Stream {
	key, n := pipeline.Column{Name: "id", Expr: "id"}, pipeline.Column{Name: "n", Expr: l.N}
	typ := "bigint"
	if l.Code {
		key, typ = pipeline.Column{Name: "code", Expr: `"k" + string(id)`}, "varchar(40)"
	}
	if n.Expr == "" {
		n.Expr = "n * " + strconv.Itoa(l.By)
	}
	s := pipeline.Stream{
		Name: Stream, Ingest: pipeline.Ingest{Key: []string{"id"}},
		Process: []pipeline.Step{{Filter: &pipeline.Filter{If: fmt.Sprintf("status != %q", l.Refuses)}}, {Map: []pipeline.Column{key, n}}},
		Sink:    pipeline.Sink{Table: "t", Columns: []pipeline.ColumnType{{Name: key.Name, Type: typ, Key: true}, {Name: "n", Type: "bigint"}}},
	}
	if l.Status != "" {
		s.Process[1].Map = append(s.Process[1].Map, pipeline.Column{Name: "status", Expr: "upper(status)"})
		s.Sink.Columns = append(s.Sink.Columns, pipeline.ColumnType{Name: "status", Type: l.Status})
	}
	return s
}

// Fresh is the table that a fresh run of the logic makes of raw records, as [World.Read] has it: of each key its newest
// record that no step refuses with an error.
func (l Logic) Fresh(raws []*kgo.Record) map[string]string {
	out := map[string]string{}
	for _, r := range raws {
		var v struct {
			N      any    `json:"n"`
			Status string `json:"status"`
		}
		_ = json.Unmarshal(r.Value, &v)
		key := string(r.Key)
		if l.Code {
			key = "k" + key
		}
		n, isNumber := v.N.(float64)
		switch {
		case r.Value == nil, v.Status == l.Refuses:
			delete(out, key)
		case isNumber && l.Status != "":
			out[key] = strconv.Itoa(int(n)*l.By) + strings.ToUpper(v.Status)
		case isNumber:
			out[key] = strconv.Itoa(int(n) * l.By)
		}
	}
	return out
}

// Raw is a revision of a key: nil n is a tombstone.
func Raw(id int, status string, n any) *kgo.Record {
	r := &kgo.Record{Key: []byte(strconv.Itoa(id))}
	if n != nil {
		r.Value, _ = json.Marshal(map[string]any{"id": id, "status": status, "n": n})
	}
	return r
}

// Some are n revisions of a hundred keys, from the number from on: rows, drafts, voids, tombstones, and, now and then,
// one that every logic refuses with an error.
func Some(from, n int) (out []*kgo.Record) {
	for i := from; i < from+n; i++ {
		id := (i * 37) % 100
		switch i % 11 {
		case 3:
			out = append(out, Raw(id, "draft", i))
		case 5:
			out = append(out, Raw(id, "void", i))
		case 7:
			out = append(out, Raw(id, "", nil))
		case 9:
			out = append(out, Raw(id, "open", "no number"))
		default:
			out = append(out, Raw(id, "open", i))
		}
	}
	return out
}
