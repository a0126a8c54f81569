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
)

// rights asks the brokers what our user may do, as far as they tell without anything being written (KIP-430). Brokers without
// an authorizer allow everything.
func (d *doctor) rights(ctx context.Context, client *kgo.Client, adm *kadm.Client, missing []topics.Spec) {
	d.topicRights(ctx, client, adm, missing)
	d.groupRights(ctx, adm)
	id := topics.IngestTransactionalID(d.p.Name, 0)
	described, err := adm.DescribeTransactions(ctx, id)
	if err == nil {
		err = described[id].Err
	}
	switch {
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		d.addf(Fail, KafkaTransactions, "kafka: transactions", fmt.Sprintf("grant WRITE on the transactional ids that begin with %s.", d.p.Name),
			"the user may not use the transactional id %s", id)
	case err == nil, errors.Is(err, kerr.TransactionalIDNotFound):
		d.addf(OK, KafkaTransactions, "kafka: transactions", "", "the user may see their ids")
	default: // brokers that have never had a transaction begin to prepare for one when they are asked
		d.addf(OK, KafkaTransactions, "kafka: transactions", "", "not known yet: %v", err)
	}
}

// topicRights looks at the topics that are there, and at whether those that are not can be made.
func (d *doctor) topicRights(ctx context.Context, client *kgo.Client, adm *kadm.Client, missing []topics.Spec) {
	var names []string
	for _, s := range topics.Specs(d.p) {
		if !slices.ContainsFunc(missing, func(m topics.Spec) bool { return m.Topic == s.Topic }) {
			names = append(names, s.Topic)
		}
	}
	got, err := adm.Metadata(kadm.WithAuthorizedOps(ctx), names...)
	if err != nil {
		d.addf(Fail, KafkaTopicRights, "kafka: rights", d.grantTopics(), "%v", err)
		return
	}
	short := false
	for _, name := range names {
		has := got.Topics[name].AuthorizedOperations
		if len(has) == 0 {
			continue // the broker does not tell
		}
		if lacks := lacking(has, kadm.OpRead, kadm.OpWrite, kadm.OpDescribe); len(lacks) > 0 {
			short = true
			d.addf(Fail, KafkaTopicRights, "kafka: topic "+name, d.grantTopics(), "the user has no %s on it", strings.Join(lacks, ", "))
		}
	}
	if !short && len(names) > 0 {
		d.addf(OK, KafkaTopicRights, "kafka: rights", "", "the user may read and write the topics that are there")
	}
	if has := clusterRights(ctx, client); len(missing) > 0 && len(has) > 0 && len(lacking(has, kadm.OpCreate)) > 0 {
		d.addf(Warn, KafkaCreate, "kafka: topics", fmt.Sprintf("grant CREATE on the topics that begin with %s., or have somebody run `millrace topics %s --create`", d.p.Name, d.file),
			"%d are not there, and the user has no CREATE on the cluster", len(missing))
	}
}

// clusterRights are what the user may do on the cluster; nil: the broker does not tell, as to a user without DESCRIBE.
func clusterRights(ctx context.Context, client *kgo.Client) []kadm.ACLOperation {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeClusterAuthorizedOperations = true
	resp, err := req.RequestWith(ctx, client)
	if err != nil || resp.ErrorCode != 0 {
		return nil
	}
	return kadm.DecodeACLOperations(resp.ClusterAuthorizedOperations)
}

func (d *doctor) grantTopics() string {
	return fmt.Sprintf("grant READ, WRITE and DESCRIBE on the topics that begin with %s.", d.p.Name)
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
	switch fix := fmt.Sprintf("grant READ on the groups that begin with %s.", d.p.Name); {
	case len(short) > 0:
		d.addf(Fail, KafkaGroupRights, "kafka: groups", fix, "the user may not join %s", strings.Join(short, ", "))
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
