package doctor_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/doctor"
	"github.com/millrace-io/millrace/internal/testkafka"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/topics"
)

// noCoordinator answers as brokers that have never had a group: they are about to make the topic of the groups.
func noCoordinator(cluster *kfake.Cluster) func(kmsg.Request) (kmsg.Response, error, bool) {
	return func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		req := r.(*kmsg.FindCoordinatorRequest)
		resp := req.ResponseKind().(*kmsg.FindCoordinatorResponse)
		resp.ErrorCode = kerr.CoordinatorNotAvailable.Code
		for _, key := range req.CoordinatorKeys {
			c := kmsg.NewFindCoordinatorResponseCoordinator()
			c.Key, c.ErrorCode = key, kerr.CoordinatorNotAvailable.Code
			resp.Coordinators = append(resp.Coordinators, c)
		}
		return resp, nil, true
	}
}

// TestRights: on brokers with ACLs, what the user may not do is found before a stage stops for it.
func TestRights(t *testing.T) {
	allow := func(resource kmsg.ACLResourceType, name string, operations ...kmsg.ACLOperation) (out []kfake.ACL) {
		for _, o := range operations {
			out = append(out, kfake.ACL{Resource: resource, Name: name, Pattern: kmsg.ACLResourcePatternTypePrefixed, Operation: o, Allow: true})
		}
		return out
	}
	reader := allow(kmsg.ACLResourceTypeTopic, "shop.", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs)
	all := append(allow(kmsg.ACLResourceTypeTopic, "shop.", kmsg.ACLOperationRead, kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe, kmsg.ACLOperationDescribeConfigs),
		append(allow(kmsg.ACLResourceTypeGroup, "shop.", kmsg.ACLOperationRead, kmsg.ACLOperationDescribe),
			allow(kmsg.ACLResourceTypeTransactionalId, "shop.", kmsg.ACLOperationWrite, kmsg.ACLOperationDescribe)...)...)
	cluster := testkafka.New(t, kfake.NumBrokers(1), kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"),
		kfake.User("PLAIN", "reader", "pw", reader...), kfake.User("PLAIN", "app", "pw", all...),
		kfake.SeedTopics(3, topics.Raw("shop", "orders"), topics.Processed("shop", "orders")))
	look := func(user string) map[doctor.Code]doctor.Finding {
		p := &pipeline.Pipeline{
			Name: "shop", DataDir: filepath.Join(t.TempDir(), "data"), Database: pipeline.Database{Embedded: true}, Streams: []pipeline.Stream{{Name: "orders"}},
			Kafka: pipeline.Kafka{
				Brokers: cluster.ListenAddrs(), SASL: &pipeline.SASL{Mechanism: "PLAIN", Username: user, Password: "pw"},
				Partitions: 3, Replication: 1, MaxRecordBytes: 8 << 20,
			},
		}
		found := map[doctor.Code]doctor.Finding{}
		for _, f := range doctor.Run(t.Context(), p, "shop.yaml") {
			if old, there := found[f.Code]; !there || old.State == doctor.OK {
				found[f.Code] = f
			}
		}
		return found
	}
	for code, want := range map[doctor.Code]doctor.State{
		doctor.KafkaReach: doctor.OK, doctor.KafkaTopicRights: doctor.OK, doctor.KafkaGroupRights: doctor.OK, doctor.KafkaTransactions: doctor.OK, doctor.KafkaCreate: doctor.Fail,
	} {
		if f := look("app")[code]; f.State != want {
			t.Errorf("app: %s is %+v, want %s", code, f, want)
		}
	}
	found := look("reader")
	defer func() { // last: the cluster stays so
		cluster.ControlKey(kmsg.FindCoordinator.Int16(), noCoordinator(cluster))
		if f := look("app")[doctor.KafkaGroupRights]; f.State != doctor.OK || !strings.Contains(f.Text, "not known yet") || f.Fix != "" {
			t.Errorf("brokers that are new: %+v", f)
		}
	}()
	for code, want := range map[doctor.Code]string{
		doctor.KafkaTopicRights: "no WRITE", doctor.KafkaGroupRights: "may not join shop.ingest, shop.processor, shop.sink", doctor.KafkaTransactions: "shop.ingest.0",
	} {
		f := found[code]
		if f.State != doctor.Fail || !strings.Contains(f.Text, want) || !strings.Contains(f.Fix, " shop. --resource-pattern-type prefixed") {
			t.Errorf("reader: %s is %+v, want a fail with %q", code, f, want)
		}
	}
}
