package file_test

import (
	"strings"
	"testing"

	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/transform"
)

func init() { //nolint:gochecknoinits // examples.yaml names it, and a file is loaded by whoever has it
	transform.Register("distance", "1", func(record []byte) ([]byte, error) { return record, nil })
}

// TestTransforms: a step names a transform that there is, before the first map.
func TestTransforms(t *testing.T) {
	const text = `pipeline: shop
http: {base_url: https://api.example.com}
streams:
  orders:
    ingest: {path: /orders, key: id}
    process: [STEPS]
    sink: {columns: {id: bigint key, km: int}}
`
	for steps, want := range map[string]string{
		"{transform: distance@1}":                                            "",
		"{transform: distance@2}":                                            "shop.yaml:6:27: streams.orders.process[0].transform: this binary has no transform distance@2; it has distance@1",
		"{transform: distance}":                                              "this binary has no transform distance@; it has distance@1",
		"{map: {id: id, km: km}}, {transform: distance@1}":                   "it stands before the first map",
		"{transform: distance@1, map: {id: id, km: km}}":                     "map and transform stand in one step",
		"{transform: distance@1}, {filter: km > 1}, {map: {id: id, km: km}}": "",
	} {
		_, err := file.InspectBytes("shop.yaml", []byte(strings.Replace(text, "STEPS", steps, 1)), unset, true)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", steps, err, want)
		}
	}
}
