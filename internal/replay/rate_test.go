package replay_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/millrace-io/millrace/internal/replay"
	"github.com/millrace-io/millrace/internal/testworld"
	"github.com/millrace-io/millrace/topics/control"
)

// TestTheRateIsChanged: another process sets the rate of a replay in all that take part, and at a rate that is far
// below that at which records arrive it comes to its end: what arrives is no part of it. Who cannot begin another one
// is told how to take part.
func TestTheRateIsChanged(t *testing.T) {
	w := newWorld(t, 2, wrong)
	w.produce(testworld.Some(0, 300)...)
	r, other := w.open(right, "redo"), w.open(right, "other")
	if _, err := r.Begin(t.Context(), replay.Ask{Rate: 1}); err != nil {
		t.Fatal(err)
	}
	arriving := w.Traffic(300)
	stop := w.background(r, work())
	w.await(control.Running)
	_, err := other.Begin(t.Context(), replay.Ask{Rate: 20})
	if underWay, ok := errors.AsType[*replay.UnderWayError](err); !ok || underWay.Redo.Rate != 1 || !strings.Contains(err.Error(), "`millrace replay shop.yaml s` takes part in it") {
		t.Errorf("begun twice: %v", err)
	}
	if redo, err := other.Limit(t.Context(), 20); err != nil || redo.Rate != 20 {
		t.Fatalf("%+v, %v", redo, err)
	}
	w.run(other)
	if err := stop(); err != nil && !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	arriving()
	w.settle()
	w.want(w.fresh(right))
}
