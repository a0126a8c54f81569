package tool

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/doctor"
	"github.com/millrace-io/millrace/internal/testkafka"
)

func TestDoctor(t *testing.T) {
	t.Setenv("SHOP_KEY", "hush-hush-key")
	url := previewAPI(t)
	name := writeFile(t, "shop.yaml", strings.Replace(previewFile, "URL", url, 1))
	code, stdout, stderr := invoke(t, "millrace", "doctor", name)
	if code != 0 || strings.Contains(stdout, "hush") {
		t.Errorf("%d %s %s", code, stdout, stderr)
	}
	for _, want := range []string{
		"ok    api " + strings.TrimPrefix(url, "http://") + ": connection", "ok    stream orders: first page: 2 records, 1 rows", "budget: X-Ratelimit-Remaining: 41",
		"warn  stream orders: process[1].map.town: no record so far has the field customer.town (MR106)\n        → look closer with `millrace preview", "ok    kafka: embedded", "ok    database: embedded", "disk ",
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("no %q in\n%s", want, stdout)
		}
	}

	cluster := testkafka.New(t, kfake.NumBrokers(1))
	testkafka.Topics(t, cluster, 5, "shop.orders.dlq")
	text := strings.Replace(previewFile, "URL", "http://localhost:1", 1)
	text = strings.Replace(text, "pipeline: shop\n", "pipeline: shop\nkafka: {brokers: ["+cluster.ListenAddrs()[0]+"], partitions: 3}\ndatabase: {mysql: \"app:hush-hush-pw@tcp(127.0.0.1:1)/shop\"}\n", 1)
	code, stdout, stderr = invoke(t, "millrace", "doctor", writeFile(t, "shop.yaml", text), "--output", "json")
	var found []doctor.Finding
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || code != cli.ExitError || strings.Contains(stdout+stderr, "hush") {
		t.Fatalf("%d %v %s %s", code, err, stdout, stderr)
	}
	wrong := map[string]bool{}
	for _, f := range found {
		if f.State == doctor.Fail {
			wrong[f.Check] = true
			if f.Fix == "" || f.Text == "" {
				t.Errorf("%s: it does not say how to correct it: %+v", f.Check, f)
			}
		}
	}
	for _, want := range []string{"api localhost:1: connection", "kafka: topic shop.orders.dlq", "mysql"} {
		if !wrong[want] {
			t.Errorf("%s is not found wrong: %s", want, stdout)
		}
	}
}
