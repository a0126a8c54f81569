package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// VersionError says that a broker is older than Apache Kafka 3.7, and needs an operator: such a broker can leave a
// transaction open for ever, which readers of committed records then wait for (KIP-890).
type VersionError struct {
	Broker int32
	Guess  string // of its version
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("broker %d speaks the protocol of Kafka %s; millrace needs 3.7 or later: older brokers can leave transactions hanging",
		e.Broker, e.Guess)
}

// oldestProduce is the version of Produce requests that came with Kafka 3.7 (KIP-951).
const oldestProduce = 10

// versionWait is how long a broker that is silent is waited for: the others can do without it.
const versionWait = 5 * time.Second

// checkVersions returns a *[VersionError] if a broker is too old. One that does not answer is none: it is asked again
// at the next start.
func checkVersions(ctx context.Context, adm *kadm.Client) error {
	asking, cancel := context.WithTimeout(ctx, versionWait)
	defer cancel()
	versions, err := adm.ApiVersions(asking)
	if err != nil {
		return fmt.Errorf("versions of the brokers: %w", err)
	}
	for _, v := range versions.Sorted() {
		if v.Err != nil {
			continue
		}
		if newest, ok := v.KeyMaxVersion(int16(kmsg.Produce)); !ok || newest < oldestProduce {
			return &VersionError{v.NodeID, v.VersionGuess()}
		}
	}
	return nil
}

// NeedsOperator reports whether an error of [Ensure] is one that no retry passes: a *[MismatchError] or a
// *[VersionError].
func NeedsOperator(err error) bool {
	var mismatch *MismatchError
	var version *VersionError
	return errors.As(err, &mismatch) || errors.As(err, &version)
}
