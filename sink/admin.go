package sink

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// Admin changes, beside running sinks, what millrace's own tables say of a pipeline's streams. Its methods may be
// called concurrently. It must be closed.
type Admin struct {
	store    *store
	pipeline *pipeline.Pipeline
}

// Position is how far a partition of a processed topic has been applied.
type Position struct {
	TopicID [16]byte // of the processed topic
	Next    int64    // the next offset there
	// Epoch and Offset are the highest epoch of the raw topic, raised by the table's, and the highest raw offset in it
	// of the records that were applied. Applied: there was such a record.
	Epoch   uint16
	Offset  int64
	Applied bool
}

// OpenAdmin opens the database of p. It makes no connection.
func OpenAdmin(p *pipeline.Pipeline) (*Admin, error) {
	d, err := newDialect(p)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	a := &Admin{&store{dialect: d, cfg: DefaultConfig(), pipeline: p.Name, statements: d.Statements(), streams: map[string]bool{}}, p}
	for _, st := range p.Streams {
		a.store.streams[st.Name] = true
	}
	if err := a.store.open(); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	return a, nil
}

// SetFile says where the pipeline file is, for the commands that errors name. It is called before everything else.
func (a *Admin) SetFile(path string) { a.store.file = path }

// Close gives back the connections.
func (a *Admin) Close() { a.store.close() }

// prepare makes what is missing of millrace's own tables: no sink of this version may have run.
func (a *Admin) prepare(ctx context.Context) error {
	if _, err := a.store.dialect.Inspect(ctx, a.store.db); err != nil {
		return a.store.dialect.Classify(err)
	}
	a.store.statements = a.store.dialect.Statements() // which may depend on the server
	return a.store.prepareOwn(ctx)
}

func (a *Admin) stream(name string) (*pipeline.Stream, error) {
	chosen, err := a.pipeline.Choose([]string{name})
	if err != nil {
		return nil, err
	}
	return chosen[0], nil
}

// SetMarking says whether the redo of a stream that makes this generation is under way; off does not end one of a
// higher generation, for whoever says so may have stood still meanwhile. While a redo is under way, each removal leaves
// a mark, and no mark of the stream is pruned. All of it holds for whatever is written after SetMarking has returned:
// it takes the claims back, and a sink that claims again reads it. When a redo begins, the table is accepted as it is,
// also if it was emptied, restored or is not there: the redo makes its rows. It waits for the transactions under way.
// The error is an *[OwnerError] if another stream writes the table; after any other error it is not known whether it
// was set, and it may be called again.
func (a *Admin) SetMarking(ctx context.Context, stream string, generation uint16, on bool) error {
	if err := a.change(ctx, stream, func(ctx context.Context, conn *sql.Conn, table string) error {
		if !on {
			_, err := conn.ExecContext(ctx, "UPDATE millrace_owners SET marking = 0 WHERE table_name = ? AND marking <= ?", table, generation)
			return err
		}
		done, err := conn.ExecContext(ctx, "UPDATE millrace_owners SET marking = ? WHERE table_name = ? AND marking < ?", generation, table, generation)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return err // it is under way
		}
		return a.store.accept(ctx, conn, topics.Processed(a.pipeline.Name, stream), table)
	}); err != nil {
		return fmt.Errorf("sink: stream %s: mark removals: %w", stream, err)
	}
	return nil
}

// BeginAgain has a stream's sinks begin at the start of what its processed topic holds, in a higher epoch of the table:
// what they find there replaces the rows, whatever these are of. It is for positions that the log does not have. Called
// again it does it again. The errors are SetMarking's.
func (a *Admin) BeginAgain(ctx context.Context, stream string) error {
	topic := topics.Processed(a.pipeline.Name, stream)
	if err := a.change(ctx, stream, func(ctx context.Context, conn *sql.Conn, table string) error {
		is, err := a.store.ownedNow(ctx, conn, table)
		if err != nil || is.pipeline == "" {
			return err // no sink has claimed it yet
		}
		st := &stake{topic: topic, table: &rows.Table{Name: table, Stream: stream}, topicID: is.topicID, is: is}
		if err := a.store.raise(ctx, conn, st, topic); err != nil {
			return err
		}
		return a.store.forgetTopic(ctx, conn, topic)
	}); err != nil {
		return fmt.Errorf("sink: stream %s: begin again: %w", stream, err)
	}
	return nil
}

// Applied says, by partition of the raw topic, from which offset nothing was applied yet: the positions from which
// processors can go on where theirs are lost. of is what is decided about the stream. Partitions of whose current raw
// topic nothing was applied are left out: they begin at its start. It says nothing any more after BeginAgain.
func (a *Admin) Applied(ctx context.Context, stream string, of *control.Stream) (map[int32]int64, error) {
	st, err := a.stream(stream)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	out, err := a.store.applied(ctx, topics.Processed(a.pipeline.Name, stream), rows.NewTable(st), of)
	if err != nil && !a.store.dialect.Missing(err) {
		return nil, fmt.Errorf("sink: stream %s: positions: %w", stream, a.store.dialect.Classify(err))
	}
	return out, nil
}

// change has do change what is known of a stream's table, in a transaction that nobody's claim or batch is under way
// in, and after which all have to claim again.
func (a *Admin) change(ctx context.Context, stream string, do func(ctx context.Context, conn *sql.Conn, table string) error) error {
	st, err := a.stream(stream)
	if err != nil {
		return err
	}
	if err := a.prepare(ctx); err != nil {
		return err
	}
	for wait := stage.NewBackoff(); ; {
		err := a.tryChange(ctx, st, do)
		if err == nil {
			return nil
		}
		switch a.store.dialect.Reason(err) {
		case dialect.Deadlock, dialect.LockTimeout: // a batch, or a frozen sink, whose session the server ends soon
		default:
			if !isSwap(err) {
				return a.store.dialect.Classify(err)
			}
		}
		if stage.Sleep(ctx, wait.NextBackOff()) != nil {
			return err
		}
	}
}

func (a *Admin) tryChange(ctx context.Context, st *pipeline.Stream, do func(ctx context.Context, conn *sql.Conn, table string) error) (err error) {
	conn, err := a.store.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.ExecContext(ctx, a.store.statements.Begin); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
		}
	}()
	table, err := a.lockOwner(ctx, conn, st)
	if err != nil {
		return err
	}
	if err := do(ctx, conn, table); err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "UPDATE millrace_offsets SET owner = NULL WHERE topic = ?", topics.Processed(a.pipeline.Name, st.Name)); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "COMMIT")
	return err
}

// lockOwner locks the row of a stream's table in millrace_owners, and returns the name that the table has: a swap may
// have given it another one than a has for it. While tables are being renamed the error is errSwapping: nobody knows
// the names.
func (a *Admin) lockOwner(ctx context.Context, conn *sql.Conn, st *pipeline.Stream) (table string, err error) {
	var is owned
	for range 2 { // it may be swapped until the row is locked
		if table, err = a.store.nameNow(ctx, conn, rows.NewTable(st)); err != nil {
			return "", err
		}
		if _, err := conn.ExecContext(ctx, a.store.statements.NewOwner, table); err != nil { // locks it
			return "", err
		}
		if is, err = a.store.ownedNow(ctx, conn, table); err != nil {
			return "", err
		}
		if is.pipeline == a.pipeline.Name && is.stream == st.Name {
			return table, a.store.renaming(ctx, conn, table)
		}
	}
	if is.pipeline == "" {
		return table, nil
	}
	return "", &OwnerError{
		Table: table, Owner: fmt.Sprintf("the stream %s of the pipeline %s writes it", is.stream, is.pipeline), Remedy: a.store.adoption(st.Name),
	}
}

// Marking reports whether a redo of a stream is under way, as SetMarking has noted; not, if no sink has run yet.
func (a *Admin) Marking(ctx context.Context, stream string) (on bool, err error) {
	st, err := a.stream(stream)
	if err != nil {
		return false, fmt.Errorf("sink: %w", err)
	}
	_, is, err := a.store.mineNow(ctx, a.store.db, rows.NewTable(st))
	if a.store.dialect.Missing(err) {
		return false, nil
	}
	return is.marking, a.store.dialect.Classify(err)
}

// Positions returns how far a stream's table has come, by partition of its processed topic; none, if no sink has run
// yet. It sees what is committed.
func (a *Admin) Positions(ctx context.Context, stream string) (map[int32]Position, error) {
	if _, err := a.stream(stream); err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	out, err := a.store.positions(ctx, topics.Processed(a.pipeline.Name, stream))
	if err != nil && !a.store.dialect.Missing(err) {
		return nil, fmt.Errorf("sink: stream %s: positions: %w", stream, a.store.dialect.Classify(err))
	}
	return out, nil
}

func (s *store) positions(ctx context.Context, topic string) (map[int32]Position, error) {
	out := map[int32]Position{}
	found, err := s.db.QueryContext(ctx, "SELECT part, topic_id, next_offset, high FROM millrace_offsets WHERE topic = ?", topic)
	if err != nil {
		return out, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var partition int32
		var id, high []byte
		var p Position
		if err := found.Scan(&partition, &id, &p.Next, &high); err != nil {
			return out, err
		}
		copy(p.TopicID[:], id)
		p.Epoch, p.Offset = binary.BigEndian.Uint16(high), int64(binary.BigEndian.Uint64(high)&topics.MaxOffset)
		p.Applied = p.Epoch > 0 || p.Offset > 0 // of offset 0 it is not known, and to process it again changes nothing
		out[partition] = p
	}
	return out, found.Err()
}
