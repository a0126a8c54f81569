package docs_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
	"github.com/millrace-io/millrace/transform"
)

func init() { //nolint:gochecknoinits // examples.yaml names it, and a file is loaded by whoever has it
	transform.Register("distance", "1", func(record []byte) ([]byte, error) { return record, nil })
}

var update = flag.Bool("update", false, "write reference/pipeline.md again")

const keysPage = "reference/pipeline.md"

const keysHead = `# The pipeline file, key by key

<!-- Written by go test ./docs -run TestKeysPage -update: change pipeline/file/keys.go and examples.yaml, not this page. -->

This page, ` + "`millrace explain KEY`" + `, the [JSON Schema](pipeline.schema.json) and the loader have one source. An example is cut out of
[examples.yaml](../../pipeline/file/examples.yaml), which has the whole stream; the requests below it are those that ingest makes for that stream,
as recorded from its code against an API of the test. The details are in [From an API's documentation to a pipeline file](../guide-apis.md), in
[pagination](pagination.md), [what changed since](since.md), [requests](requests.md), [credentials](auth.md), [records](records.md),
[errors](errors.md), [deletions](deletes.md), [streams made from other streams](children.md), [expressions](expressions.md), [columns](columns.md) and [paths](paths.md).

- Keys that are not here are errors, but for those at the top that begin with ` + "`x-`" + `, which may hold YAML anchors.
- ` + "`${NAME}`" + ` takes a variable of the environment, ` + "`${file:PATH}`" + ` the content of a file.
- NAME stands for a name of your own. **\*** marks a key that must be there where the mapping is.
`

// section is a mapping of the file with its keys.
type section struct {
	name string // path without streams.NAME
	key  *file.Key
	like string // section that has its keys; empty: itself
}

// sections are all mappings, in the order of the file. Where several have the same keys, the one with the shortest
// path lists them.
func sections(t *testing.T) []section {
	t.Helper()
	var out []section
	first := map[string]int{}
	for _, path := range append([]string{""}, file.Paths()...) {
		k, err := file.Explain(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(k.Keys) == 0 || strings.HasPrefix(path, "defaults.ingest.") {
			continue
		}
		s := section{name: shortName(path), key: k}
		like := fmt.Sprint(k.Keys)
		if at, ok := first[like]; !ok {
			first[like] = len(out)
		} else if depth(out[at].name) <= depth(s.name) {
			s.like = out[at].name
		} else {
			for i := range out {
				if out[i].name == out[at].name || out[i].like == out[at].name {
					out[i].like = s.name
				}
			}
			first[like] = len(out)
		}
		out = append(out, s)
	}
	return out
}

func shortName(path string) string { return strings.TrimPrefix(path, "streams.NAME.") }

func depth(name string) int { return strings.Count(name, ".") }

// anchor is where GitHub's Markdown puts a heading.
func anchor(name string) string { return "#" + strings.ToLower(strings.ReplaceAll(name, ".", "")) }

// TestKeysPage: reference/pipeline.md is what the types of the file say; -update writes it again.
func TestKeysPage(t *testing.T) {
	p, err := file.Parse("examples.yaml", file.Examples, placeholder)
	if err != nil {
		t.Fatal(err)
	}
	w := &keysWriter{t: t, pipeline: p, sections: map[string]section{}}
	all := sections(t)
	for _, s := range all {
		w.sections[s.name] = s
	}
	w.WriteString(keysHead)
	for _, s := range all {
		if s.like == "" && s.name != "defaults.ingest" {
			w.section(s)
		}
	}
	if *update {
		if err := os.WriteFile(keysPage, []byte(w.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(keysPage)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(page), w.String()); d != "" {
		t.Errorf("run go test ./docs -run TestKeysPage -update; (-page +keys)\n%s", d)
	}
}

// TestKeysPageHasEveryKey: each key that can be explained is in the published page, with its sentences.
func TestKeysPageHasEveryKey(t *testing.T) {
	page, err := os.ReadFile(keysPage)
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, path := range file.Paths() {
		if strings.HasSuffix(path, ".NAME") {
			continue
		}
		k, err := file.Explain(path)
		if err != nil {
			t.Fatal(err)
		}
		keys++
		name := path[strings.LastIndexByte(path, '.')+1:]
		found := false
		for line := range strings.SplitSeq(string(page), "\n") {
			named := strings.HasPrefix(line, "| `"+name+"`") || strings.HasPrefix(line, "| [`"+name+"`]")
			found = found || named && strings.HasSuffix(line, "| "+cell(k.Doc)+" |")
		}
		if !found {
			t.Errorf("%s is not in %s with %q", path, keysPage, k.Doc)
		}
	}
	for _, m := range regexp.MustCompile(`\]\((#[^)]+)\)`).FindAllStringSubmatch(string(page), -1) {
		found := false
		for line := range strings.SplitSeq(string(page), "\n") {
			title, heading := strings.CutPrefix(line, "## ")
			found = found || heading && anchor(title) == m[1]
		}
		if !found {
			t.Errorf("%s leads nowhere", m[1])
		}
	}
	if keys < 150 {
		t.Errorf("only %d keys", keys)
	}
}

type keysWriter struct {
	strings.Builder

	t        *testing.T
	pipeline *pipeline.Pipeline
	sections map[string]section
}

func (w *keysWriter) section(s section) {
	title := s.name
	if title == "" {
		title = "The top of the file"
	}
	fmt.Fprintf(w, "\n## %s\n\n%s\n", title, s.key.Doc)
	if len(s.key.OneOf) > 0 {
		fmt.Fprintf(w, "\nExactly one of %s.\n", listed(s.key.OneOf))
	}
	if s.name == "ingest" {
		w.WriteString("\nBeside these it takes every key of [http](#http), for this stream alone.\n")
	}
	w.WriteString("\n| key | value | default | example | what it does |\n|---|---|---|---|---|\n")
	for _, sub := range s.key.Keys {
		w.row(s, sub)
	}
	if s.key.Example != "" && depth(s.key.Path) > 0 {
		fmt.Fprintf(w, "\n```yaml\n%s\n```\n", s.key.Example)
	}
	w.requests(s)
}

func (w *keysWriter) row(s section, sub file.SubKey) {
	k := w.explain(strings.TrimPrefix(s.key.Path+"."+sub.Name, "."))
	if s.name == "ingest" {
		if twin, err := file.Explain("http." + sub.Name); err == nil && twin.Doc == k.Doc {
			return
		}
	}
	name := "`" + sub.Name + "`"
	if at := w.linked(k); at != "" {
		name = fmt.Sprintf("[%s](%s)", name, anchor(at))
	}
	if sub.Required {
		name += " **\\***"
	}
	value, standard, example := k.Kind, "", ""
	if k.Bounds != "" {
		value += ", " + k.Bounds
	}
	if k.Default != "" {
		standard = "`" + k.Default + "`"
	}
	if v := exampleValue(w.t, k); v != "" {
		example = "`" + v + "`"
	}
	fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", name, cell(value), cell(standard), cell(example), cell(k.Doc))
}

// linked is the section with the keys of a mapping, or empty.
func (w *keysWriter) linked(k *file.Key) string {
	name := shortName(k.Path)
	if name == "defaults.ingest" {
		return "ingest"
	}
	if name == "streams" {
		return "streams.NAME"
	}
	if s, ok := w.sections[name]; ok {
		if s.like != "" {
			return s.like
		}
		return name
	}
	return ""
}

// aboutRequests are the sections whose example decides what is asked for.
var aboutRequests = regexp.MustCompile(`^(http\.auth\.(api_key|basic|login)|ingest|ingest\.(body|paginate|incremental)(\.\w+)*)$`)

// requests shows what ingest asks for in the stream that the example of a section is of, and in those that have
// another example of one of its keys.
func (w *keysWriter) requests(s section) {
	if !aboutRequests.MatchString(s.name) || strings.HasSuffix(s.name, ".stop") {
		return
	}
	shown := []string{exampleStream(w.t, s.key)}
	w.requestsOf(s, shown[0])
	for _, sub := range s.key.Keys {
		k := w.explain(s.key.Path + "." + sub.Name)
		if len(k.Keys) > 0 || s.name == "ingest" && sub.Name != "slices" {
			continue
		}
		if stream := exampleStream(w.t, k); !slices.Contains(shown, stream) {
			shown = append(shown, stream)
			_, inside, _ := strings.Cut(s.key.Path, ".ingest")
			path := "streams." + stream + ".ingest" + inside
			if shared, ok := strings.CutPrefix(s.name, "http."); ok {
				path = "streams." + stream + ".ingest." + shared
			}
			fmt.Fprintf(w, "\nWith `%s`:\n\n```yaml\n%s\n```\n", sub.Name, cutOut(w.t, path))
			w.requestsOf(s, stream)
		}
	}
}

func (w *keysWriter) requestsOf(s section, stream string) {
	got := asked(w.t, w.pipeline, stream, answers[stream]...)
	if len(got) != len(answers[stream])+1 {
		w.t.Errorf("%s: %d requests, %d answers: %q", stream, len(got), len(answers[stream]), got)
	}
	of := ""
	if w.pipeline.Stream(stream).Ingest.Slices != nil {
		of = " of its first slice"
	}
	fmt.Fprintf(w, "\nRequests%s:\n\n```http\n", of)
	for line := range strings.SplitSeq(strings.Join(got, "\n"), "\n") {
		everywhere := strings.HasPrefix(line, "    Authorization: Bearer") || strings.HasPrefix(line, "    X-Tenant: ")
		if !everywhere || s.name == "ingest" {
			fmt.Fprintln(w, line)
		}
	}
	w.WriteString("```\n")
}

// exampleStream is the stream that an example is of.
func exampleStream(t *testing.T, k *file.Key) string {
	t.Helper()
	var doc struct{ Streams map[string]any }
	if err := yaml.Unmarshal([]byte(k.Example), &doc); err != nil || len(doc.Streams) != 1 {
		t.Fatalf("%s: %v, streams %v", k.Path, err, doc.Streams)
	}
	for stream := range doc.Streams {
		return stream
	}
	return ""
}

// cutOut is what the examples have at a path, with the way to it.
func cutOut(t *testing.T, path string) string {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal(file.Examples, &doc); err != nil {
		t.Fatal(err)
	}
	n := doc.Content[0]
	for name := range strings.SplitSeq(path, ".") {
		i := slices.IndexFunc(n.Content, func(c *yaml.Node) bool { return c.Value == name })
		if i < 0 {
			t.Fatalf("the examples have no %s", path)
		}
		n.Content, n.Style = n.Content[i:i+2], 0
		n = n.Content[1]
	}
	var out strings.Builder
	e := yaml.NewEncoder(&out)
	e.SetIndent(2)
	if err := e.Encode(doc.Content[0]); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

func (w *keysWriter) explain(path string) *file.Key {
	k, err := file.Explain(path)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// exampleValue is the value of a key in its example, on one line.
func exampleValue(t *testing.T, k *file.Key) string {
	t.Helper()
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(k.Example), &doc); err != nil || len(doc.Content) == 0 {
		t.Errorf("%s has no example (%v)", k.Path, err)
		return ""
	}
	name := k.Path[strings.LastIndexByte(k.Path, '.')+1:]
	n := doc.Content[0]
	for found := false; !found; { // an example holds nothing but the way to its key
		if n.Kind == yaml.MappingNode {
			found = n.Content[0].Value == name
		}
		n = n.Content[len(n.Content)-1]
	}
	if len(k.Keys) > 0 || strings.HasPrefix(k.Kind, "a mapping of names to mappings") {
		return "" // it has a section
	}
	n.Style = yaml.FlowStyle
	if n.Kind == yaml.ScalarNode {
		return n.Value
	}
	out, err := yaml.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func cell(text string) string {
	return strings.ReplaceAll(strings.ReplaceAll(text, "|", `\|`), "*.", `\*.`)
}

func listed(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = "`" + n + "`"
	}
	return strings.Join(quoted, ", ")
}

// answers are what the APIs of the examples give, so that another request follows each.
var answers = map[string][]string{
	"orders": {
		`{"code": 0, "data": [{"id": 1, "updated_at": "2024-05-01T10:00:00Z"}], "meta": {"next_cursor": "c2", "has_more": true}}`,
		`{"code": 0, "data": [{"id": 2, "updated_at": "2024-05-02T10:00:00Z"}], "meta": {"next_cursor": "", "has_more": false}}`,
	},
	"shipments":  {`{"data": [{"id": 1, "revision": 1}, {"id": 2, "revision": 1}], "meta": {"total": 3}}`},
	"invoices":   {`{"data": {"items": [{"id": 1, "changed": "01.05.2024 10:00"}, {"id": 2, "changed": "01.05.2024 10:00"}]}}`},
	"events":     {"Link: <https://api.example.com/v2/events?page=2>; rel=\"next\"\n{\"id\": 1}\n"},
	"contacts":   {"X-Total-Pages: 2\n" + `{"data": [{"id": 1, "updated": "2024-05-01"}]}`, "X-Total-Pages: 2\n" + `{"data": [{"id": 2, "updated": "2024-05-01"}]}`},
	"carts":      {`{"data": {"carts": {"nodes": [{"id": "a"}], "pageInfo": {"endCursor": "c2", "hasNextPage": true}}}}`},
	"exports":    {"X-Next: c2\n[{\"id\": 1}]"},
	"feeds":      {`{"data": [{"id": 1}], "meta": {"total": 2}}`},
	"charges":    {`{"data": [{"id": "ch_1"}], "has_more": true}`},
	"meetings":   {`{"items": [{"id": "a"}], "nextPageToken": "p2"}`, `{"items": [{"id": "b"}], "nextSyncToken": "s1"}`},
	"articles":   {`{"data": [{"id": 1}], "links": {"next": "https://inner.example/articles?page%5Bafter%5D=c2"}}`},
	"inner":      {"Link: <http://10.0.0.7/inner?page=2>; rel=\"next\"\n[{\"id\": 1}]"},
	"sessions":   {"Set-Cookie: AuthSession=c1; Path=/\n{}"},
	"devices":    {"X-Token: t1\n{}"},
	"complaints": {`{"data": {"token": "t1", "expires_in": 3600}}`},
}
