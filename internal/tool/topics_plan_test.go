package tool

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/topics/admin"
)

// TestTopicsPlanAndApply: what differs is shown, what may be done is done, and the rest is left with the next command.
func TestTopicsPlanAndApply(t *testing.T) {
	cluster := testkafka.New(t, kfake.NumBrokers(3))
	file := pipelineFile(t, "http://localhost:8080", "kafka: {brokers: ["+cluster.ListenAddrs()[0]+"], partitions: 3, replication: 3, raw_retention: 7d}")
	adm := kadm.NewClient(testkafka.Client(t, cluster))
	if _, err := adm.CreateTopic(t.Context(), 5, 3, nil, "shop.orders.dlq"); err != nil {
		t.Fatal(err)
	}
	forever := "-1"
	if _, err := adm.CreateTopic(t.Context(), 3, 3, map[string]*string{"retention.ms": &forever}, "shop.orders.raw"); err != nil {
		t.Fatal(err)
	}
	say := func(wantCode int, args []string, wants ...string) string {
		t.Helper()
		code, stdout, stderr := invoke(t, "millrace", append([]string{"topics"}, args...)...)
		if code != wantCode {
			t.Errorf("%v: %d %s%s", args, code, stdout, stderr)
		}
		for _, want := range wants {
			if !strings.Contains(stdout+stderr, want) {
				t.Errorf("%v: lacks %q\n%s%s", args, want, stdout, stderr)
			}
		}
		return stdout
	}
	var steps []admin.Step
	text := say(cli.ExitError, []string{"plan", file, "--output", "json"}, "millrace topics apply "+file)
	if err := json.Unmarshal([]byte(text), &steps); err != nil {
		t.Fatal(err)
	}
	found := map[string]admin.Step{}
	for _, s := range steps {
		found[s.Topic+" "+s.Setting] = s
	}
	if s := found["shop.orders.raw retention.ms"]; !s.Deletes || s.Does == "" || s.Want != "604800000" {
		t.Errorf("a retention that gets shorter: %+v", s)
	}
	if s := found["shop.orders.dlq partitions"]; s.Does != "" || s.Next == "" {
		t.Errorf("partitions: %+v", s)
	}
	if s := found["shop.orders.processed topic"]; s.Does == "" || s.Is != "missing" {
		t.Errorf("a topic that is missing: %+v", s)
	}
	say(cli.ExitError, []string{"plan", file}, "shop.orders.raw        retention.ms", "set it, which deletes records")
	say(cli.ExitError, []string{"apply", file}, "--yes answers")
	say(cli.ExitUsage, []string{"apply", file, "--output", "yaml"}, "want table or json")
	say(cli.ExitError, []string{"apply", file, "--yes"},
		"shop.orders.processed: made, with 3 partitions", "shop.orders.raw: retention.ms is 604800000, was -1", "shop.orders.dlq: partitions is 5, the file wants 3")
	rewrite(t, file, "partitions: 3", "partitions: 5")
	say(cli.ExitError, []string{"plan", file}, "shop.orders.raw: partitions is 3, the file wants 5")
}

// TestTopicsPlanOfAFileThatIsApplied says so, and exits with 0.
func TestTopicsPlanOfAFileThatIsApplied(t *testing.T) {
	cluster := testkafka.New(t, kfake.NumBrokers(1))
	file := pipelineFile(t, "http://localhost:8080", "kafka: {brokers: ["+cluster.ListenAddrs()[0]+"], partitions: 3}")
	if code, stdout, stderr := invoke(t, "millrace", "topics", "apply", file, "--yes"); code != cli.ExitOK || strings.Count(stdout, "made") != 5 {
		t.Errorf("%d %s%s", code, stdout, stderr)
	}
	for _, verb := range []string{"plan", "apply"} {
		if code, stdout, stderr := invoke(t, "millrace", "topics", verb, file); code != cli.ExitOK || !strings.Contains(stdout, "as the file has them") {
			t.Errorf("%s: %d %s%s", verb, code, stdout, stderr)
		}
	}
}
