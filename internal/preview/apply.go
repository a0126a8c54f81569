package preview

import (
	"bytes"
	"encoding/json"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace-io/millrace/internal/dryrun"
)

// Apply runs a stream's steps over a record that comes from nowhere: it has no version. Its key is "" for a record that
// lacks the key's fields, which ingest would make a dead letter.
func Apply(d *dryrun.Stream, value jsontext.Value, slice string) Record {
	r := Record{Value: json.RawMessage(bytes.Clone(value)), Steps: []Step{}}
	key, reason := d.Key(value, slice)
	r.Key = string(key)
	if reason != "" {
		r.Letter = &dryrun.Letter{Stage: "ingest", Step: "ingest.key", Reason: reason}
		return r
	}
	o := d.Apply(dryrun.Record{Value: value, Key: key, Slice: slice})
	for _, t := range o.Trace {
		r.Steps = append(r.Steps, Step{t.Label, json.RawMessage(t.Value)})
	}
	r.Rows, r.Letter = o.Rows, o.Letter
	return r
}
