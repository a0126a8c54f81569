package tool

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/cli"
	"github.com/millrace-io/millrace/internal/preview"
)

// TestTryTheRawTopic: the steps as they are in the file now, on what the API sent then.
func TestTryTheRawTopic(t *testing.T) {
	url, requests := orders(t)
	path := pipelineFile(t, url)
	if code, _, stderr := invoke(t, "millrace", "try", path, "--raw"); code != cli.ExitError || !strings.Contains(stderr, "has not run yet") {
		t.Errorf("before the first run: %d %s", code, stderr)
	}
	if code, _, stderr := invoke(t, "millrace", "run", path, "--once", "--listen", ""); code != 0 {
		t.Fatal(stderr)
	}
	asked := requests.Load()
	rewrite(t, path, "    sink:", "    process: [{filter: total > 10}, {map: {id: id, total: total * 2}}]\n    sink:")
	try := func(want int, args ...string) (out []preview.Record, text string) {
		t.Helper()
		code, stdout, stderr := invoke(t, "millrace", append([]string{"try", path, "orders", "--output", "json"}, args...)...)
		if code != want {
			t.Fatalf("%v: %d %s%s", args, code, stdout, stderr)
		}
		if code == 0 {
			if err := json.Unmarshal([]byte(stdout), &out); err != nil {
				t.Fatalf("%v: %v %s", args, err, stdout)
			}
		}
		return out, stderr
	}
	if all, _ := try(0, "--raw"); len(all) != 3 {
		t.Errorf("%d records, want 3: %+v", len(all), all)
	}
	one, _ := try(0, "--key", "2")
	if len(one) != 1 || one[0].Key != "2" || string(one[0].Value) == "" || len(one[0].Rows) != 1 || *one[0].Rows[0][1].Value != "40" || one[0].At == "" {
		t.Fatalf("%+v", one)
	}
	if same, _ := try(0, "--offset", one[0].At); len(same) != 1 || same[0].Key != "2" {
		t.Errorf("%+v, want the record at %s", same, one[0].At)
	}
	if filtered, _ := try(0, "--key", "1"); len(filtered) != 1 || len(filtered[0].Rows) != 0 || filtered[0].Letter != nil {
		t.Errorf("%+v, want a record without a row", filtered)
	}
	if some, _ := try(0, "--since", "1h", "--limit", "2"); len(some) != 2 {
		t.Errorf("%d records, want 2", len(some))
	}
	for want, args := range map[string][]string{
		"has no such record": {"--key", "4711"}, "no such record: `millrace topics tail": {"--offset", "0:4711"},
	} {
		if _, stderr := try(cli.ExitError, args...); !strings.Contains(stderr, want) {
			t.Errorf("%v: %s, want %s", args, stderr, want)
		}
	}
	for want, args := range map[string][]string{
		"give one of them": {"--raw", "--record", "x.json"}, "such as 3:42": {"--offset", "4711"}, "one record": {"--offset", "0:1", "--key", "2"},
		"a duration back from now": {"--since", "yesterday"}, "--limit must be": {"--raw", "--limit", "0"},
	} {
		if _, stderr := try(cli.ExitUsage, args...); !strings.Contains(stderr, want) {
			t.Errorf("%v: %s, want %s", args, stderr, want)
		}
	}
	if requests.Load() != asked {
		t.Error("try asked the API")
	}
	if code, stdout, _ := invoke(t, "millrace", "try", path, "--key", "2"); code != 0 || !strings.Contains(stdout, "record 2, raw "+one[0].At) {
		t.Errorf("%d %s", code, stdout)
	}
}
