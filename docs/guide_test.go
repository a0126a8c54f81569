package docs_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline/file"
)

const guidePage = "guide-apis.md"

// fence is a block of code: its language and its text.
var fence = regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```\n")

// guided are the styles of API that the guide must have.
var guided = []string{
	"Page numbers", "Offset and limit", "A cursor in the body", "The Link header", "Keyset: the last record leads on", "GraphQL with Relay pages",
	"Delta links and sync tokens", "A search by POST", "A filter from a time to a time", "Newest first, and no filter",
	"OAuth: client credentials", "OAuth: a refresh token", "A login request", "A CSV export",
	"Webhooks", "Server-Sent Events", "A service account: JWT", "AWS signatures", "A report job", "A resource below another one", "Rate limits",
}

// TestGuide: each snippet of the guide loads without a warning, with no secret set, and asks for what the page says if
// the API answers as the page says; -update writes these requests again.
func TestGuide(t *testing.T) {
	page, err := os.ReadFile(guidePage)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	snippets, requests := map[string]int{}, 0
	for i, part := range strings.Split(string(page), "\n## ") {
		title, _, _ := strings.Cut(part, "\n")
		if i > 0 {
			b.WriteString("\n## ")
		}
		var answers []string
		snippet := ""
		b.WriteString(fence.ReplaceAllStringFunc(part, func(block string) string {
			m := fence.FindStringSubmatch(block)
			switch m[1] {
			case "json", "text":
				answers = append(answers, m[2])
			case "yaml":
				snippets[title]++
				snippet = m[2]
				loads(t, title, snippet)
			case "http":
				p, err := file.Parse(guidePage, wrapped(t, title, snippet), placeholder)
				if err != nil {
					t.Errorf("%s: %v", title, err)
					return block
				}
				got := asked(t, p, p.Streams[len(p.Streams)-1].Name, answers...)
				if len(got) < len(answers) {
					t.Errorf("%s: %d answers, and only these requests: %q", title, len(answers), got)
				}
				requests++
				answers = nil
				return "```http\n" + strings.Join(got, "\n") + "\n```\n"
			}
			return block
		}))
	}
	for _, title := range guided {
		if snippets[title] == 0 {
			t.Errorf("%s has no snippet", title)
		}
	}
	if requests < 12 {
		t.Errorf("the requests of only %d snippets are shown", requests)
	}
	if *update {
		if err := os.WriteFile(guidePage, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if d := cmp.Diff(string(page), b.String()); d != "" && !*update {
		t.Errorf("run go test ./docs -run TestGuide -update; (-page +requests)\n%s", d)
	}
}

// loads checks a snippet as `millrace validate --offline` does.
func loads(t *testing.T, title, snippet string) {
	t.Helper()
	got, err := file.InspectBytes(guidePage, wrapped(t, title, snippet), func(string) (string, bool) { return "", false }, true)
	if err != nil {
		t.Errorf("%s: %v\n%s", title, err, snippet)
		return
	}
	for _, w := range got.Warnings {
		t.Errorf("%s: %v", title, w)
	}
}

// shown is what a snippet shows: of one stream, or of several by their names, of which the last is asked for.
type shown struct {
	stream   `yaml:",inline"`
	Webhooks map[string]any `yaml:"webhooks"`
	HTTP     map[string]any `yaml:"http"`
	Streams  yaml.Node      `yaml:"streams"`
}

type stream struct {
	Ingest  map[string]any `yaml:"ingest"`
	Process []any          `yaml:"process"`
	Sink    map[string]any `yaml:"sink"`
}

// wrapped is the pipeline file around a snippet: what it does not show is the address of the API and the tables.
func wrapped(t *testing.T, title, snippet string) []byte {
	t.Helper()
	var part shown
	d := yaml.NewDecoder(strings.NewReader(snippet))
	d.KnownFields(true)
	if err := d.Decode(&part); err != nil {
		t.Fatalf("%s: %v", title, err)
	}
	if part.HTTP == nil {
		part.HTTP = map[string]any{}
	}
	part.HTTP["base_url"] = "https://api.example.com"
	streams := yaml.Node{Kind: yaml.MappingNode}
	add := func(name string, s stream) {
		var key, value yaml.Node
		key.SetString(name)
		if err := value.Encode(s.whole(t, title)); err != nil {
			t.Fatal(err)
		}
		streams.Content = append(streams.Content, &key, &value)
	}
	if part.Ingest != nil {
		add("s", part.stream)
	}
	for i := 0; i+1 < len(part.Streams.Content); i += 2 {
		var s stream
		if err := part.Streams.Content[i+1].Decode(&s); err != nil {
			t.Fatalf("%s: %v", title, err)
		}
		add(part.Streams.Content[i].Value, s)
	}
	all := map[string]any{"pipeline": "guide", "http": part.HTTP, "streams": &streams}
	if part.Webhooks != nil {
		all["webhooks"] = part.Webhooks
	}
	out, err := yaml.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// whole is a stream with a table.
func (s stream) whole(t *testing.T, title string) map[string]any {
	t.Helper()
	keys, several := s.Ingest["key"].([]any)
	if !several {
		keys = []any{s.Ingest["key"]}
	}
	columns := map[string]string{}
	for _, key := range keys {
		name, ok := key.(string)
		if !ok {
			t.Fatalf("%s: the snippet has no key", title)
		}
		columns[name] = "varchar(64) key"
	}
	out := map[string]any{"ingest": s.Ingest, "sink": map[string]any{"columns": columns}}
	if s.Process != nil {
		out["process"] = s.Process
	}
	if s.Sink != nil {
		out["sink"] = s.Sink
	}
	return out
}
