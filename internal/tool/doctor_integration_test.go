//go:build integration

package tool

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/doctor"
	"github.com/millrace-io/millrace/internal/testkit"
	"github.com/millrace-io/millrace/internal/testservers"
)

// TestDoctorOnGuardedBrokers: on a real broker with ACLs, what the user lacks is found with its code and the command
// that allows it, and once those very commands have run, doctor finds nothing and the pipeline runs. Then each right is
// taken away alone, and found.
func TestDoctorOnGuardedBrokers(t *testing.T) {
	t.Parallel()
	server := testservers.NewGuardedKafka(t)
	url, _ := orders(t)
	path := pipelineFile(t, url, fmt.Sprintf("kafka: {brokers: [%q], partitions: 3, sasl: {mechanism: PLAIN, username: %s, password: %s}}",
		server.Brokers()[0], testservers.User, testservers.User))
	look := func() map[doctor.Code]doctor.Finding {
		t.Helper()
		code, stdout, stderr := invoke(t, "millrace", "doctor", path, "--output", "json")
		var all []doctor.Finding
		if err := json.Unmarshal([]byte(stdout), &all); err != nil {
			t.Fatalf("%d %v %s%s", code, err, stdout, stderr)
		}
		wrong := map[doctor.Code]doctor.Finding{}
		for _, f := range all {
			if f.State == doctor.Fail {
				wrong[f.Code] = f
			}
		}
		if (len(wrong) > 0) != (code == 1) {
			t.Errorf("exit code %d with %d findings", code, len(wrong))
		}
		return wrong
	}

	waitsForRights(t, path)
	found := look()
	for _, code := range []doctor.Code{doctor.KafkaTopics, doctor.KafkaGroupRights, doctor.KafkaTransactions} {
		if !strings.HasPrefix(found[code].Fix, "kafka-acls.sh ") {
			t.Errorf("without any right, %s is %+v", code, found[code])
		}
	}
	for _, f := range found {
		server.ACLs(t, f.Fix)
	}
	well := func(when string) {
		t.Helper()
		testkit.Eventually(t, patience, func() error { // a broker hears of a right a moment after it is given
			if left := look(); len(left) > 0 {
				return fmt.Errorf("%s: %+v", when, left)
			}
			return nil
		})
	}
	well("after its commands")
	for range 2 { // the first makes the topics
		if code, _, stderr := invoke(t, "millrace", "run", path, "--once", "--listen", ""); code != 0 {
			t.Fatalf("after its commands: %d %s", code, stderr)
		}
		well("after a run")
	}

	adm := kadm.NewClient(guarded(t, server))
	prefixed := func(b *kadm.ACLBuilder, o kadm.ACLOperation) *kadm.ACLBuilder {
		return b.Allow("User:" + testservers.User).AllowHosts("*").ResourcePatternType(kadm.ACLPatternPrefixed).Operations(o)
	}
	give := func(b *kadm.ACLBuilder) {
		t.Helper()
		if given, err := adm.CreateACLs(t.Context(), b); err != nil || given[0].Err != nil {
			t.Fatalf("%v %+v", err, given)
		}
	}
	for _, b := range []*kadm.ACLBuilder{kadm.NewACLs().Groups("shop."), kadm.NewACLs().TransactionalIDs("shop.")} {
		give(prefixed(b, kadm.OpDescribe)) // which is not enough
	}
	if _, err := adm.DeleteTopic(t.Context(), "shop.orders.dlq"); err != nil { // so that there is one to make
		t.Fatal(err)
	}
	for _, c := range []struct {
		what      string
		right     *kadm.ACLBuilder
		operation kadm.ACLOperation
		code      doctor.Code
		want, fix string
	}{
		{"Read of topics", kadm.NewACLs().Topics("shop."), kadm.OpRead, doctor.KafkaTopicRights, "no READ on", "--operation Read "},
		{"Write of topics", kadm.NewACLs().Topics("shop."), kadm.OpWrite, doctor.KafkaTopicRights, "no WRITE on", "--operation Write "},
		{"DescribeConfigs of topics", kadm.NewACLs().Topics("shop."), kadm.OpDescribeConfigs, doctor.KafkaTopics, "", "--operation DescribeConfigs "},
		{"Create of topics", kadm.NewACLs().Topics("shop."), kadm.OpCreate, doctor.KafkaCreate, "1 are not there, and the user may not make them", "--operation Create "},
		{"Read of groups", kadm.NewACLs().Groups("shop."), kadm.OpRead, doctor.KafkaGroupRights, "may not join shop.ingest, shop.processor, shop.sink", "--operation Read --group shop."},
		{"Write of transactional ids", kadm.NewACLs().TransactionalIDs("shop."), kadm.OpWrite, doctor.KafkaTransactions, "shop.ingest.0", "--operation Write --transactional-id shop."},
	} {
		right := prefixed(c.right, c.operation)
		if gone, err := adm.DeleteACLs(t.Context(), right); err != nil || len(gone) != 1 || len(gone[0].Deleted) != 1 {
			t.Fatalf("%s: %v %+v", c.what, err, gone)
		}
		testkit.Eventually(t, patience, func() error {
			f := look()[c.code]
			if f.Code == "" || !strings.Contains(f.Text, c.want) || !strings.HasPrefix(f.Fix, "kafka-acls.sh ") || !strings.Contains(f.Fix, c.fix) {
				return fmt.Errorf("without %s: %s is %+v, want %q", c.what, c.code, f, c.want)
			}
			return nil
		})
		give(right)
	}
	well("with all rights again")
}

// waitsForRights runs a pipeline whose user may nothing until it says so.
func waitsForRights(t *testing.T, path string) {
	t.Helper()
	p := launch(t, "millrace", "run", path, "--once", "--listen", "127.0.0.1:0")
	address := p.address(t)
	testkit.Eventually(t, patience, func() error {
		code, body := get(t, address+"/readyz")
		if code != http.StatusServiceUnavailable || !strings.Contains(body, "authoriz") {
			return fmt.Errorf("without any right it says %d %s", code, body)
		}
		return nil
	})
	p.send(t, syscall.SIGTERM)
	if code := p.exit(t).ExitCode(); code == 0 {
		t.Errorf("one pass has ended without any right: %s", p.stderr.String())
	}
}

func guarded(t *testing.T, server *testservers.GuardedKafka) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(server.Brokers()...), testservers.AsAdmin())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}
