//go:build integration

package admin_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/testservers"
)

func TestEnsureOnKafka(t *testing.T) {
	ensureSuite(t, kadm.NewClient(newClient(t, testservers.Kafka(t))), testservers.Unique(t))
}

func TestRemainingOnKafka(t *testing.T) {
	brokers := testservers.Kafka(t)
	a, b := testservers.Unique(t)+".a", testservers.Unique(t)+".b"
	for _, r := range mustCreate(t, kadm.NewClient(newClient(t, brokers)), a, b) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	remainingSuite(t, brokers, a, b)
}

// TestFenceOnKafka: a transaction of a processor's session that is open is aborted, and cannot commit afterwards.
func TestFenceOnKafka(t *testing.T) {
	fenceSuite(t, testservers.Kafka(t), testservers.Unique(t)+".in", testservers.Unique(t)+".out")
}

// TestAbortAbandonedOnKafka: without it, the brokers would abort the transaction after its time-out of ten minutes.
func TestAbortAbandonedOnKafka(t *testing.T) {
	abandonedSuite(t, testservers.Kafka(t), testservers.Unique(t))
}
