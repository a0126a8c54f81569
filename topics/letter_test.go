package topics_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/topics"
)

func TestLetterRoundTrip(t *testing.T) {
	for _, c := range []struct {
		letter topics.Letter
		origin topics.Origin
	}{
		{topics.Letter{"sink", 7, "sink.orders", "too long", 2},
			topics.Origin{topics.LetterID("sink", "shop.orders.processed", 3, 5, 1<<40), "shop.orders.processed", 3, 5, 1 << 40}},
		{topics.Letter{"ingest", 1, "ingest.key", "no key", 1}, topics.Origin{ID: "ingest:orders/eu:4.7:12"}},
	} {
		letter, origin, err := topics.ParseLetter(c.letter.Record("shop.orders.dlq", c.origin.ID, &kgo.Record{}))
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(c.letter, letter); diff != "" {
			t.Error(diff)
		}
		if diff := cmp.Diff(c.origin, origin); diff != "" {
			t.Error(diff)
		}
	}
	for _, id := range []string{"", "sink", "sink:a:1:2", "sink:a:70000:1:1", "sink:a:1:x:1"} {
		if _, _, err := topics.ParseLetter(topics.Letter{Stage: "sink"}.Record("t", id, &kgo.Record{})); err == nil {
			t.Errorf("id %q is taken for one of a letter", id)
		}
	}
}
