package file_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/pipeline/file"
)

// P8: whatever prints a pipeline shows no secret of it.
func TestSecretsNeverPrint(t *testing.T) {
	const path = "testdata/good/everything.yaml"
	p, err := file.Parse(path, read(t, path), env)
	if err != nil {
		t.Fatal(err)
	}
	secrets := []string{
		p.Database.MySQL.Reveal(), p.Kafka.SASL.Password.Reveal(), p.Streams[0].Ingest.HTTP.Auth.Bearer.Reveal(),
		p.Streams[1].Ingest.HTTP.Auth.APIKey.Value.Reveal(), p.Streams[0].Ingest.HTTP.Headers["X-Tenant"].Reveal(),
	}
	want := []string{
		`secret_user:my@sql: {pass@tcp(db:3306)/warehouse?tls=true`, `kafka: "secret"`, "secret-token", "api-key-secret", "secret-tenant",
	}
	for i := range want {
		if secrets[i] != want[i] {
			t.Fatalf("secret %d was resolved to %q, want %q", i, secrets[i], want[i])
		}
	}

	outputs := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%T", "%t", "%08.3f"} {
		outputs[verb+" of the pipeline"] = fmt.Sprintf(verb, p)
		outputs[verb+" of its value"] = fmt.Sprintf(verb, *p)
		outputs[verb+" of parts"] = fmt.Sprintf(verb+verb+verb+verb, p.Database, *p.Kafka.SASL, p.Streams[0].Ingest.HTTP, *p.Streams[1].Ingest.HTTP.Auth.APIKey)
		outputs[verb+" of pointers"] = fmt.Sprintf(verb, struct {
			P *pipeline.Pipeline
			S *pipeline.Stream
			H *pipeline.HTTP
		}{p, &p.Streams[0], &p.Streams[0].Ingest.HTTP})
		outputs[verb+" of a secret"] = fmt.Sprintf(verb, p.Database.MySQL)
		outputs[verb+" of a pointer"] = fmt.Sprintf(verb, &p.Database.MySQL)
	}
	j, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	outputs["json"] = string(j)
	y, err := yaml.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	outputs["yaml"] = string(y)
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"slog text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"slog json": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("pipeline", "pipeline", p, "value", *p, "dsn", p.Database.MySQL, "headers", p.Streams[0].Ingest.HTTP.Headers)
		outputs[name] = b.String()
	}
	outputs["error"] = fmt.Errorf("dial %s: %v", p.Database.MySQL, p.Database).Error()
	for what, out := range outputs {
		if out == "" {
			t.Errorf("%s is empty", what)
		}
		for _, s := range secrets {
			if strings.Contains(out, s) || strings.Contains(out, fmt.Sprintf("%x", s)) || strings.Contains(out, fmt.Sprintf("%X", s)) {
				t.Errorf("%s shows a secret: %s", what, out)
			}
		}
	}
	if !strings.Contains(outputs["%+v of a secret"], "[secret]") {
		t.Errorf("a secret prints as %q", outputs["%+v of a secret"])
	}
}

// Whatever a reference stands for, and wherever it stands, an error about it does not show it.
func TestErrorsShowNoReferencedValue(t *testing.T) {
	const secret = "Hunter2 (x" // no name, number, URL, type, expression or data source name
	lookup := func(string) (string, bool) { return secret, true }
	lines := strings.Split(string(read(t, "testdata/good/everything.yaml")), "\n")
	refused := 0
	for i, line := range lines {
		key, value, ok := strings.Cut(line, ": ")
		if !ok || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		changed := append([]string{}, lines...)
		changed[i] = key + `: "${S}"`
		if strings.HasSuffix(value, "]}") || strings.Contains(key, "{") {
			continue
		}
		_, err := file.Parse("testdata/good/x.yaml", []byte(strings.Join(changed, "\n")), lookup)
		if err == nil {
			continue
		}
		refused++
		if strings.Contains(err.Error(), "Hunter2") {
			t.Errorf("line %d, %s: %v", i+1, changed[i], err)
		}
	}
	if refused < 20 {
		t.Errorf("only %d values were refused", refused)
	}
}

// TestWhatIsSecret: every reference that is sent to an API or opens a server, and credentials in clear text; not where
// an API or a server is, nor what the file declares to be plain.
func TestWhatIsSecret(t *testing.T) {
	values := map[string]string{
		"QUERY": "in-query", "PATH_": "in-path", "BASE": "in-base-url", "API": "https://api.test/bot-in-api", "HEADER": "in-header", "TOKEN": "in-auth",
		"START": "2024-01-01T00:00:00Z", "USER": "in-sasl", "DB": "in-dsn", "DBHOST": "db-host", "BROKER": "broker:9092", "HOST": "api-host.test",
		"TABLE": "in_table", "REGION": "in-plain", "LABEL": "in-label",
	}
	p, err := file.Parse("x.yaml", []byte(`
pipeline: p
kafka: {brokers: ["${BROKER}"], sasl: {mechanism: PLAIN, username: "${USER}", password: in-clear-sasl}}
database: {mysql: "root:${DB}@tcp(${DBHOST}:3306)/shop"}
http:
  base_url: https://${HOST}/${BASE}
  headers: {X-A: "${HEADER}", X-B: in-clear-header, Accept: application/json, X-C: "${plain:LABEL}"}
  auth: {api_key: {param: code, value: in-clear-key}}
defaults: {ingest: {key: id}}
streams:
  a:
    ingest: {path: "/x/${PATH_}/y", query: {token: "${QUERY}", region: "${plain:REGION}"}, incremental: {field: t, param: t, start: "${START}"}}
    sink: {table: "${TABLE}", columns: {id: bigint key}}
  b:
    ingest: {base_url: "${API}", path: /x, auth: {bearer: "${TOKEN}"}, headers: {}}
    sink: {columns: {id: bigint key}}
`), func(name string) (string, bool) { v, ok := values[name]; return v, ok })
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, r := range p.Secrets {
		got[r.Value.Reveal()] = r.Name
	}
	want := map[string]string{
		"in-query": "QUERY", "in-path": "PATH_", "in-base-url": "BASE", "bot-in-api": "API", "in-header": "HEADER", "in-auth": "TOKEN",
		"2024-01-01T00:00:00Z": "START", "in-sasl": "USER", "in-dsn": "DB",
		"in-clear-sasl": "", "in-clear-header": "", "in-clear-key": "",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, s := range p.Streams {
		if len(s.Ingest.HTTP.Secrets) != len(p.Secrets) {
			t.Errorf("%s knows %d secrets of %d", s.Name, len(s.Ingest.HTTP.Secrets), len(p.Secrets))
		}
	}
}
