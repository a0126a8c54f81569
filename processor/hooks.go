package processor

import (
	"context"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// hooks are what differs in the sessions of a redo from those that process what comes. Each may be nil, and is called
// from the goroutine of the session.
type hooks struct {
	client []kgo.Opt // of the session
	// begun is called when the producer is initialised, and whoever had the id before can commit no more; nothing is
	// processed before it has returned. Its error ends the session.
	begun func(context.Context) error
	// commit completes what is committed beside the offsets.
	commit func(*kmsg.TxnOffsetCommitRequest) error
	// ended is called after each transaction that ended without an error. The session waits for it.
	ended func(context.Context, *session)
}
