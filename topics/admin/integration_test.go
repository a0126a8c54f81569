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

func mustCreate(t *testing.T, adm *kadm.Client, names ...string) kadm.CreateTopicResponses {
	t.Helper()
	made, err := adm.CreateTopics(t.Context(), 2, -1, nil, names...)
	if err != nil {
		t.Fatal(err)
	}
	return made
}
