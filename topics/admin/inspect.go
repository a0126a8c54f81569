package admin

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/topics"
)

// Inspect compares topics with what they should be and changes nothing. missing are those that are not there; found is
// what differs of the others, in the order of specs.
func Inspect(ctx context.Context, adm *kadm.Client, specs []topics.Spec) (missing []topics.Spec, found []Mismatch, err error) {
	details, err := list(ctx, adm, names(specs)...)
	if err != nil {
		return nil, nil, err
	}
	var existing []topics.Spec
	for _, s := range specs {
		switch d, ok := details[s.Topic]; {
		case !ok || errors.Is(d.Err, kerr.UnknownTopicOrPartition):
			missing = append(missing, s)
		case d.Err != nil:
			return nil, nil, fmt.Errorf("topic %s: %w", s.Topic, d.Err)
		default:
			existing = append(existing, s)
		}
	}
	described, err := describe(ctx, adm, existing)
	if err != nil {
		return nil, nil, err
	}
	err = check(existing, details, described)
	if mismatch := (*MismatchError)(nil); errors.As(err, &mismatch) {
		return missing, mismatch.Mismatches, nil
	}
	return missing, nil, err
}
