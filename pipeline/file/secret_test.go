package file_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

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
