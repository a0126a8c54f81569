package sink

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/millrace-io/millrace/internal/stage"
)

// SwapStep is where a swap is.
type SwapStep string

// The steps of a swap, in their order.
const (
	SwapFreeze SwapStep = "freeze"
	SwapRename SwapStep = "rename"
)

// SwapState is a swap that is under way.
type SwapState struct {
	Swap

	Step    SwapStep
	Age     time.Duration // of the step, by the database's clock
	By      string        // who, for people
	attempt []byte
}

// ErrSwapping says that another process swaps the stream's tables.
var ErrSwapping = errors.New("another process swaps the tables of the stream")

// ErrSwapLost says that a swap was ended by somebody else.
var ErrSwapLost = errors.New("the swap was cleared by another process, which took this one for dead")

// swapPatience is how old a step may be before its driver is taken for dead.
const swapPatience = 30 * time.Second

const swapQuery = "SELECT pipeline, stream, step, attempt, by_whom, from_line, to_line, from_pipeline, to_pipeline, table_name, from_table, to_table, %s" +
	" FROM millrace_swaps WHERE "

// swaps are those under way for which a condition holds.
func (s *Swapper) swaps(ctx context.Context, db querier, where string, args ...any) (out []SwapState, err error) {
	found, err := db.QueryContext(ctx, fmt.Sprintf(swapQuery, s.dialect.Age("step_at"))+where, args...)
	if err != nil {
		return nil, s.store.dialect.Classify(err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var x SwapState
		var age int64
		if err := found.Scan(&x.Pipeline, &x.Stream, &x.Step, &x.attempt, &x.By, &x.From.Number, &x.To.Number, &x.From.Pipeline, &x.To.Pipeline,
			&x.Table, &x.From.Table, &x.To.Table, &age); err != nil {
			return nil, err
		}
		x.Age = time.Duration(age) * time.Microsecond
		out = append(out, x)
	}
	return out, found.Err()
}

// state is the swap of the stream that is under way, as the driving connection sees it; nil: there is none.
func (s *Swapper) state(ctx context.Context) (*SwapState, error) {
	if s.conn == nil {
		return nil, errNoConnection
	}
	all, err := s.swaps(ctx, s.conn, "pipeline = ? AND stream = ?", s.swap.Pipeline, s.swap.Stream)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	return &all[0], nil
}

// takeOver takes the lock, and ends what a driver has left that has died. One that has stood still for too long is
// ended first: while it waits for the tables, they may be renamed at any moment.
func (s *Swapper) takeOver(ctx context.Context) error {
	got, err := s.exclude(ctx)
	if err == nil && !got {
		got, err = s.evict(ctx)
	}
	if err != nil {
		return s.store.dialect.Classify(err)
	}
	if !got {
		return ErrSwapping
	}
	state, err := s.state(ctx)
	if err != nil || state == nil {
		return err
	}
	_, err = s.end(ctx, state)
	return err
}

// evict ends a driver that has stood still, and takes its lock.
func (s *Swapper) evict(ctx context.Context) (got bool, err error) {
	state, err := s.state(ctx)
	if err != nil || state == nil || state.Age < swapPatience {
		return false, err
	}
	if err := s.dialect.EndHolder(ctx, s.store.db, s.swap.lock()); err != nil {
		return false, err
	}
	for wait, until := stage.NewBackoff(), time.Now().Add(10*time.Second); !got && time.Now().Before(until); {
		if s.release, got, err = s.dialect.Exclude(ctx, s.conn, s.swap.lock()); err != nil || got {
			return got, err
		}
		if err := stage.Sleep(ctx, wait.NextBackOff()); err != nil {
			return false, err
		}
	}
	return got, nil
}

// end ends a swap whose driver is gone. Who calls it has the lock, so nothing is being renamed.
func (s *Swapper) end(ctx context.Context, x *SwapState) (finished bool, err error) {
	if x.Step != SwapRename {
		return false, s.clear(ctx, x)
	}
	made, err := s.store.dialect.Made(ctx, s.store.db, []string{x.Table, x.From.Table, x.To.Table})
	if err != nil {
		return false, s.store.dialect.Classify(err)
	}
	there := func(name string) bool {
		_, ok := made[strings.ToLower(name)]
		return ok
	}
	if !there(x.From.Table) {
		return false, s.clear(ctx, x)
	}
	if !there(x.Table) && there(x.To.Table) { // a server whose RENAME TABLE is not one act stopped between the two
		if _, err := s.exec(ctx, s.dialect.Complete(x.exchange())); err != nil {
			return false, s.store.dialect.Classify(err)
		}
	}
	return true, s.finish(ctx, x.Swap, x.attempt, false)
}

// clear has a swap be over that has renamed nothing.
func (s *Swapper) clear(ctx context.Context, x *SwapState) error {
	_, err := s.exec(ctx, "DELETE FROM millrace_swaps WHERE pipeline = ? AND stream = ? AND attempt = ?", x.Pipeline, x.Stream, x.attempt)
	return s.store.dialect.Classify(err)
}
