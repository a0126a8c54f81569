package reset_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace-io/millrace/internal/reset"
	"github.com/millrace-io/millrace/topics"
)

// refuse has the broker answer the n-th request of a kind under a transactional id, counted from 1, with an error, and
// do nothing.
func (s *shop) refuse(key kmsg.Key, id string, n int32, answer *kerr.Error) (refused *atomic.Bool) {
	refused = new(atomic.Bool)
	var seen atomic.Int32
	s.cluster.ControlKey(int16(key), func(r kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		switch req := r.(type) {
		case *kmsg.InitProducerIDRequest:
			resp := req.ResponseKind().(*kmsg.InitProducerIDResponse)
			resp.ErrorCode = answer.Code
			if req.TransactionalID != nil && *req.TransactionalID == id && seen.Add(1) == n {
				refused.Store(true)
				return resp, nil, true
			}
		case *kmsg.EndTxnRequest:
			resp := req.ResponseKind().(*kmsg.EndTxnResponse)
			resp.ErrorCode = answer.Code
			if req.TransactionalID == id && seen.Add(1) == n {
				refused.Store(true)
				return resp, nil, true
			}
		}
		return nil, nil, false
	})
	return refused
}

// ofSlice is the transactional id of who fetches a slice of the stream items.
func ofSlice(name string) string {
	return topics.IngestTransactionalID("shop", topics.Partition([]byte("items/"+name), topics.StatePartitions))
}

// TestAResetAsksAgainWhatMayPass: an answer of the brokers that is another one the next time does not end it.
func TestAResetAsksAgainWhatMayPass(t *testing.T) {
	t.Parallel()
	const claim, commit = 1, 2 // ends of transactions
	for name, test := range map[string]struct {
		key    kmsg.Key
		n      int32
		answer *kerr.Error
	}{
		"at the id":                             {kmsg.InitProducerID, 1, kerr.UnknownServerError},
		"at the id, loading":                    {kmsg.InitProducerID, 1, kerr.CoordinatorLoadInProgress},
		"at the id, another transaction":        {kmsg.InitProducerID, 1, kerr.ConcurrentTransactions},
		"at the claim":                          {kmsg.EndTxn, claim, kerr.UnknownServerError},
		"at the claim, no coordinator":          {kmsg.EndTxn, claim, kerr.CoordinatorNotAvailable},
		"at the commit":                         {kmsg.EndTxn, commit, kerr.UnknownServerError},
		"at the commit, another transaction":    {kmsg.EndTxn, commit, kerr.ConcurrentTransactions},
		"at the commit, while it is loaded":     {kmsg.EndTxn, commit, kerr.CoordinatorLoadInProgress},
		"at the commit, there is no good owner": {kmsg.EndTxn, commit, kerr.ProducerFenced},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, f := fetchedShop(t)
			f.stop()
			refused := s.refuse(test.key, ofSlice("a"), test.n, test.answer)
			s.run(reset.Options{})
			if !refused.Load() {
				t.Error("the broker refused nothing")
			}
			f = s.fetch("two")
			s.awaitRaw("items", want(0, 20, "2"))
			f.stop()
		})
	}
}

// TestASweepAsksAgainWhatMayPass as it takes over from whoever sweeps, and from ingest.
func TestASweepAsksAgainWhatMayPass(t *testing.T) {
	t.Parallel()
	s, f := fetchedShop(t)
	sweep := s.sweepWithoutKey0()
	f.stop()
	found := s.look(sweep)
	sweeping := s.refuse(kmsg.InitProducerID, topics.SweepTransactionalID("shop", "items"), 1, kerr.UnknownServerError)
	fencing := s.refuse(kmsg.InitProducerID, ofSlice("b"), 1, kerr.UnknownServerError)
	if n, err := found.Delete(s.ctx()); n != 1 || err != nil || !sweeping.Load() || !fencing.Load() {
		t.Errorf("%d deleted: %v; refused: %v, %v", n, err, sweeping.Load(), fencing.Load())
	}
}

// TestAResetSaysAtOnceWhatCannotPass.
func TestAResetSaysAtOnceWhatCannotPass(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	refused := s.refuse(kmsg.InitProducerID, ofSlice("a"), 1, kerr.TransactionalIDAuthorizationFailed)
	err := reset.Run(s.ctx(), s.cfg, reset.Options{})
	if err == nil || !strings.Contains(err.Error(), "TRANSACTIONAL_ID_AUTHORIZATION_FAILED") || !refused.Load() {
		t.Errorf("%v; refused: %v", err, refused.Load())
	}
}
