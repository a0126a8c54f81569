package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
)

// topicOperations are what the stages do with topics; making those that are missing is one of them.
var topicOperations = []kadm.ACLOperation{kadm.OpRead, kadm.OpWrite, kadm.OpDescribe, kadm.OpDescribeConfigs}

// rights asks the brokers what our user may do, without anything being written. Brokers without an authorizer allow
// everything.
func (d *doctor) rights(ctx context.Context, client *kgo.Client, adm *kadm.Client) {
	d.groupRights(ctx, adm)
	id := topics.IngestTransactionalID(d.p.Name, 0)
	switch err := mayWrite(ctx, client, id); {
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		d.addf(Fail, KafkaTransactions, "kafka: transactions", d.grant("--transactional-id", kadm.OpWrite), "the user may not use the transactional id %s", id)
	case errors.Is(err, kerr.InvalidProducerIDMapping):
		d.addf(OK, KafkaTransactions, "kafka: transactions", "", "the user may use their ids")
	default: // brokers that have never had a transaction begin to prepare for one when they are asked
		d.addf(OK, KafkaTransactions, "kafka: transactions", "", "not known yet: %v", err)
	}
}

// mayWrite has the brokers end a transaction that cannot be, for nobody was given that producer id: whoever may not
// write with the transactional id is told so, and whoever may is told that there is no such producer.
func mayWrite(ctx context.Context, client *kgo.Client, id string) error {
	const nobodys = 1 << 62
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID = id, nobodys
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	return kerr.ErrorForCode(resp.ErrorCode)
}

// topicRights looks at the topics, and at whether those that are missing can be made.
func (d *doctor) topicRights(ctx context.Context, adm *kadm.Client, missing []topics.Spec) {
	var names []string
	for _, s := range topics.Specs(d.p) {
		names = append(names, s.Topic)
	}
	fix := d.grantTopics()
	got, err := adm.Metadata(kadm.WithAuthorizedOps(ctx), names...)
	if err != nil {
		d.addf(Fail, KafkaTopicRights, "kafka: rights", fix, "%v", err)
		return
	}
	var lacks []string // of all topics that lack something
	var short []string
	for _, name := range names {
		has := got.Topics[name].AuthorizedOperations
		if len(has) == 0 {
			continue // the broker does not tell
		}
		if these := lacking(has, topicOperations...); len(these) > 0 {
			short, lacks = append(short, name), append(lacks, these...)
		}
	}
	slices.Sort(lacks)
	if len(short) > 0 {
		d.addf(Fail, KafkaTopicRights, "kafka: rights", fix, "the user has no %s on %s", strings.Join(slices.Compact(lacks), ", "), strings.Join(short, ", "))
	} else {
		d.addf(OK, KafkaTopicRights, "kafka: rights", "", "the user may read and write the topics")
	}
	if err := admin.MayCreate(ctx, adm, missing); err != nil {
		if errors.Is(err, kerr.TopicAuthorizationFailed) || errors.Is(err, kerr.ClusterAuthorizationFailed) {
			err = fmt.Errorf("%d are not there, and the user may not make them", len(missing))
			fix += fmt.Sprintf(" — or have somebody who may run `millrace topics %s --create`", d.file)
		} else {
			fix = "change kafka.partitions, kafka.replication or the names, as it says"
		}
		d.addf(Fail, KafkaCreate, "kafka: topics", fix, "%v", err)
	}
}

func (d *doctor) grantTopics() string {
	return d.grant("--topic", append([]kadm.ACLOperation{kadm.OpCreate}, topicOperations...)...)
}

// grant is the command that allows our user operations on what begins with the pipeline's name.
func (d *doctor) grant(resource string, operations ...kadm.ACLOperation) string {
	user := "NAME"
	if d.p.Kafka.SASL != nil && d.p.Kafka.SASL.Username != "" {
		user = d.p.Kafka.SASL.Username
	}
	var b strings.Builder
	fmt.Fprintf(&b, "kafka-acls.sh --bootstrap-server %s --command-config admin.properties --add --allow-principal 'User:%s'", strings.Join(d.p.Kafka.Brokers, ","), user)
	for _, o := range operations {
		fmt.Fprintf(&b, " --operation %s", aclNames[o])
	}
	fmt.Fprintf(&b, " %s %s. --resource-pattern-type prefixed", resource, d.p.Name)
	return b.String()
}

// aclNames are the operations as kafka-acls.sh takes them.
var aclNames = map[kadm.ACLOperation]string{
	kadm.OpRead: "Read", kadm.OpWrite: "Write", kadm.OpCreate: "Create", kadm.OpDescribe: "Describe", kadm.OpDescribeConfigs: "DescribeConfigs",
}

// groupRights looks at the consumer groups, which need not be there for it.
func (d *doctor) groupRights(ctx context.Context, adm *kadm.Client) {
	names := []string{topics.IngestGroup(d.p.Name), topics.ProcessorGroup(d.p.Name), topics.SinkGroup(d.p.Name)}
	got, err := adm.DescribeGroups(ctx, names...)
	var short []string
	for _, name := range names {
		g, there := got[name]
		switch {
		case !there:
		case errors.Is(g.Err, kerr.GroupAuthorizationFailed), g.Err == nil && len(g.AuthorizedOperations) > 0 && len(lacking(g.AuthorizedOperations, kadm.OpRead)) > 0:
			short = append(short, name)
		}
	}
	if errors.Is(err, kerr.GroupAuthorizationFailed) && len(short) == 0 {
		short = names
	}
	switch fix := d.grant("--group", kadm.OpRead); {
	case len(short) > 0:
		d.addf(Fail, KafkaGroupRights, "kafka: groups", fix, "the user may not join %s", strings.Join(short, ", "))
	case errors.Is(err, kerr.CoordinatorNotAvailable): // brokers that have never had a group begin to prepare for one when they are asked
		d.addf(OK, KafkaGroupRights, "kafka: groups", "", "not known yet: %v", err)
	case err != nil:
		d.addf(Warn, KafkaGroupRights, "kafka: groups", fix, "%v", err)
	default:
		d.addf(OK, KafkaGroupRights, "kafka: groups", "", "the user may join them")
	}
}

// lacking are those of want that has does not have.
func lacking(has []kadm.ACLOperation, want ...kadm.ACLOperation) (out []string) {
	for _, w := range want {
		if !slices.Contains(has, w) && !slices.Contains(has, kadm.OpAll) {
			out = append(out, w.String())
		}
	}
	return out
}
