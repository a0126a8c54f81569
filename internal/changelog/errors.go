package changelog

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// FencedError says that another process has taken over a partition.
type FencedError struct {
	Topic     string
	Partition int32
	Err       error // what the brokers answered
}

func (e *FencedError) Error() string {
	return fmt.Sprintf("another process has taken over %s[%d]: %v", e.Topic, e.Partition, e.Err)
}

func (e *FencedError) Unwrap() error { return e.Err }

// fencing reports whether an answer of the brokers says that this producer is not the valid one any more.
func fencing(err error) bool {
	for _, k := range []*kerr.Error{
		kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidTxnState, kerr.TransactionCoordinatorFenced,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}
