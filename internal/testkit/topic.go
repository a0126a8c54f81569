package testkit

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics/admin"
)

// Read is [admin.Read] of the brokers at these addresses.
func Read(ctx context.Context, brokers []string, topic string, f func(*kgo.Record)) error {
	return admin.Read(ctx, []kgo.Opt{kgo.SeedBrokers(brokers...)}, topic, f)
}

// Records returns what [Read] gets of the topics within two minutes, in the order of topics, partitions and offsets.
func Records(t testing.TB, brokers []string, topics ...string) []*kgo.Record {
	t.Helper()
	out, err := records(t, brokers, topics)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Await returns what [Records] does as soon as there are at least n. The topics need not exist before.
func Await(t testing.TB, brokers []string, n int, topics ...string) (out []*kgo.Record) {
	t.Helper()
	Eventually(t, 2*time.Minute, func() (err error) {
		if out, err = records(t, brokers, topics); err == nil && len(out) < n {
			err = fmt.Errorf("%d of %d records in %v", len(out), n, topics)
		}
		return err
	})
	return out
}

func records(t testing.TB, brokers, topics []string) ([]*kgo.Record, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 2*time.Minute)
	defer cancel()
	var out []*kgo.Record
	for _, topic := range topics {
		from := len(out)
		if err := Read(ctx, brokers, topic, func(r *kgo.Record) { out = append(out, r) }); err != nil {
			return nil, err
		}
		slices.SortStableFunc(out[from:], func(a, b *kgo.Record) int { return cmp.Compare(a.Partition, b.Partition) })
	}
	return out, nil
}
