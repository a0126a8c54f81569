package file_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline/file"
)

// TestExamplesLoad: what explain shows is right.
func TestExamplesLoad(t *testing.T) {
	got, err := file.InspectBytes("examples.yaml", file.Examples, unset, true)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Warnings) > 0 {
		t.Error(got.Warnings)
	}
}

func TestExplain(t *testing.T) {
	k, err := file.Explain("streams.orders.ingest.paginate.cursor")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, sub := range k.Keys {
		names = append(names, sub.Name)
	}
	if !slices.Contains(names, "next") || !slices.Equal(k.OneOf, []string{"next", "header"}) || k.Kind != "a mapping" {
		t.Errorf("%+v", k)
	}
	const want = `streams:
  orders:
    ingest:
      paginate:
        cursor: {next: meta.next_cursor, param: cursor, stop: {has_more: meta.has_more}, absent_ends: true}`
	if d := cmp.Diff(want, k.Example); d != "" {
		t.Error(d)
	}
	for path, want := range map[string]file.Key{
		"paginate":                          {Path: "streams.NAME.ingest.paginate", Kind: "link, auto, or a mapping", OneOf: []string{"page", "offset", "cursor", "link", "keyset", "relay"}},
		"ingest.every":                      {Path: "streams.NAME.ingest.every", Kind: "a duration such as 500ms, 30s, 1h30m or 7d", Default: "0s", Bounds: "from 0 to 8760h"},
		"streams.x.process[1].filter.once":  {Path: "streams.x.process.filter.once", Kind: "true or false", Default: "false"},
		"streams.x.sink.columns.id":         {Path: "streams.x.sink.columns.id", Kind: "a text"},
		"kafka.sasl.mechanism":              {Path: "kafka.sasl.mechanism", Kind: "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512", Required: true},
		"http.auth.bearer":                  {Path: "http.auth.bearer", Kind: "a text that is never shown, or a list of them"},
		"streams":                           {Path: "streams", Kind: "a mapping of names to mappings", Required: true},
		"streams.orders.ingest.incremental": {Path: "streams.orders.ingest.incremental", Kind: "a mapping"},
	} {
		k, err := file.Explain(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if k.Path != want.Path || k.Kind != want.Kind || k.Default != want.Default || k.Bounds != want.Bounds ||
			k.Required != want.Required || want.OneOf != nil && !slices.Equal(k.OneOf, want.OneOf) || k.Example == "" || k.Doc == "" {
			t.Errorf("%s: %+v", path, k)
		}
	}
	for path, want := range map[string]string{
		"streams.orders.ingest.pagination": `has no key streams.orders.ingest.pagination; did you mean "paginate"?`,
		"kafkaa":                           `did you mean "kafka"?`,
		"kafka.partitions.more":            "the pipeline file has no key kafka.partitions.more",
	} {
		if _, err := file.Explain(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
}

// An example is cut down to one key, and is still the YAML of that key.
func TestExampleOfAKeyInAListIsRight(t *testing.T) {
	k, err := file.Explain("process.filter.if")
	if err != nil {
		t.Fatal(err)
	}
	const want = `streams:
  shipments:
    process:
      - filter: {if: kind != "internal"}`
	var got, wanted any
	if err := yaml.Unmarshal([]byte(k.Example), &got); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(wanted, got); d != "" {
		t.Errorf("(-want +got)\n%s\n%s", d, k.Example)
	}
}

// TestEveryKeyIsExplained: each can be asked for, says what it is, and nearly each has an example.
func TestEveryKeyIsExplained(t *testing.T) {
	without := 0
	paths := file.Paths()
	for _, path := range paths {
		k, err := file.Explain(path)
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		if k.Doc == "" || k.Kind == "" {
			t.Errorf("%s: %+v", path, k)
		}
		if k.Example == "" {
			t.Logf("no example: %s", path)
			without++
		}
	}
	if len(paths) < 150 || without*20 > len(paths) {
		t.Errorf("%d of %d keys have no example: add them to examples.yaml", without, len(paths))
	}
}
