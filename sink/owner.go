package sink

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
)

// owned is a row of millrace_owners: which stream writes a table, from which processed topic, and the table's epoch.
type owned struct {
	pipeline, stream string // empty: nobody that is known
	topicID          [16]byte
	epoch            uint16
	marking          bool // a redo is under way: each removal leaves a mark
}

// stake is what the claims on the partitions of one table have in common.
//
// A table has one writer, and one processed topic. Offsets of a topic that was recreated begin at 0 again, so that its
// records would lose against the rows of the old one. The table then has a higher epoch than any row, by which the
// versions of all that is claimed from then on are raised. The row of millrace_owners and the positions that begin
// again change in one transaction. A claim of before goes on in its lower epoch, and loses.
type stake struct {
	topic   string
	table   *rows.Table
	topicID [16]byte
	is      owned
	why     string // not empty: what was changed, for people
	lost    error  // not nil: it is not ours
}

// stakes looks whose the tables of bids are, and changes what has to be changed: rarely, so all readers share a lock,
// and who has to change a row begins again with one of its own.
func (s *store) stakes(ctx context.Context, conn *sql.Conn, bids []*bid) error {
	all := map[string]*stake{}
	for _, b := range bids {
		if all[b.table.Name] == nil {
			all[b.table.Name] = &stake{topic: b.topic, table: b.table, topicID: b.bounds.topicID}
		}
		b.stake, b.lost, b.restarts = all[b.table.Name], nil, false
	}
	if err := s.readOwners(ctx, conn, all, s.statements.ShareOwners); err != nil {
		return err
	}
	settled := true
	for _, st := range all {
		settled = settled && s.ours(st)
	}
	if !settled {
		if err := s.settleAll(ctx, conn, all); err != nil {
			return err
		}
	}
	if err := s.swapping(ctx, conn, all); err != nil {
		return err
	}
	for _, b := range bids {
		b.lost = b.stake.lost
	}
	return nil
}

// ours reports whether nothing has to be changed.
func (s *store) ours(st *stake) bool {
	return st.is.pipeline == s.pipeline && st.is.stream == st.table.Stream && st.is.topicID == st.topicID
}

// readOwners reads the rows of the tables, in the order of their names.
func (s *store) readOwners(ctx context.Context, conn *sql.Conn, all map[string]*stake, lock string) error {
	var names rows.Values
	for name := range all {
		names = names.Append(rows.Text, []byte(name))
	}
	query := append([]byte("SELECT table_name, pipeline, stream, topic_id, epoch, marking > 0 FROM millrace_owners WHERE table_name IN ("),
		dialect.AppendValues(nil, s.dialect, names)...)
	found, err := conn.QueryContext(ctx, string(query)+") ORDER BY table_name"+lock)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var name string
		var is owned
		var id []byte
		if err := found.Scan(&name, &is.pipeline, &is.stream, &id, &is.epoch, &is.marking); err != nil {
			return err
		}
		copy(is.topicID[:], id)
		all[name].is = is
	}
	return found.Err()
}

// settleAll begins the transaction again, with locks under which rows can be changed.
func (s *store) settleAll(ctx context.Context, conn *sql.Conn, all map[string]*stake) error {
	for _, statement := range []string{"ROLLBACK", s.statements.Begin} {
		if _, err := conn.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		if s.ours(all[name]) {
			continue
		}
		if _, err := conn.ExecContext(ctx, s.statements.NewOwner, name); err != nil {
			return err
		}
	}
	if err := s.readOwners(ctx, conn, all, s.statements.LockOwners); err != nil {
		return err
	}
	for _, name := range names {
		st := all[name]
		if s.ours(st) {
			continue
		}
		if err := s.settle(ctx, conn, st); err != nil {
			return err
		}
	}
	return nil
}

// settle makes a table ours, says what its epoch is, or why it is not ours.
func (s *store) settle(ctx context.Context, conn *sql.Conn, st *stake) error {
	if swapped, err := s.isSwapped(ctx, conn, st.table); err != nil || swapped {
		st.lost = errSwapped
		return err
	}
	if st.is.pipeline == "" {
		if err := s.unowned(ctx, conn, st); err != nil || st.lost != nil {
			return err
		}
	}
	mine := st.is.pipeline == s.pipeline && st.is.stream == st.table.Stream
	switch asked, by := s.adopt[st.table.Stream], s.claimedBy(st.topic); {
	case mine && st.is.topicID == st.topicID:
		return s.setOwner(ctx, conn, st)
	case mine && by.sure && by.topicID == st.topicID:
		st.lost = s.notOurs(st, fmt.Sprintf("a pipeline of the same name, on other brokers, writes it: another topic %s than that of this sink", st.topic))
		return nil
	case mine:
		if err := s.undeclared(st); err != nil {
			return err
		}
		st.why = fmt.Sprintf("the topic %s was recreated: what the new one holds replaces the rows. What the old one held and was not applied "+
			"is processed again; if the raw topic was recreated too, it comes when the API has shown it. Rows of what the API no longer shows stay until `%s`",
			st.topic, s.command("reset", st.table.Stream, "--sweep"))
		return s.raise(ctx, conn, st, st.topic)
	case asked && !by.sure:
		return s.adoptTable(ctx, conn, st)
	case st.is.pipeline == "":
		st.lost = s.notOurs(st, "it has rows of a pipeline that is not known")
		return nil
	}
	if st.is.pipeline == s.pipeline && !s.streams[st.is.stream] { // it was renamed
		filled, err := s.filled(ctx, conn, st.table)
		if err != nil {
			st.lost, err = asTableError(err)
			return err
		}
		if !filled {
			return s.adoptTable(ctx, conn, st)
		}
	}
	st.lost = s.notOurs(st, fmt.Sprintf("the stream %s of the pipeline %s writes it", st.is.stream, st.is.pipeline))
	return nil
}

func (s *store) notOurs(st *stake, owner string) *OwnerError {
	return &OwnerError{Table: st.table.Name, Owner: owner, Remedy: s.adoption(st.table.Stream)}
}

// adoption is the command that gives a table to a stream.
func (s *store) adoption(stream string) string { return s.command("run", "--adopt", stream) }

// unowned looks for who wrote a table without an owner: it is ours if there are positions of our topic, or if it has no
// rows of anybody's.
func (s *store) unowned(ctx context.Context, conn *sql.Conn, st *stake) error {
	found, err := conn.QueryContext(ctx, "SELECT topic_id, high FROM millrace_offsets WHERE topic = ?", st.topic)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	written := false
	st.is.topicID = st.topicID
	for found.Next() {
		var id, high []byte
		if err := found.Scan(&id, &high); err != nil {
			return err
		}
		if written = true; !bytes.Equal(id, st.topicID[:]) {
			copy(st.is.topicID[:], id)
		}
		st.is.epoch = max(st.is.epoch, binary.BigEndian.Uint16(high))
	}
	if err := errors.Join(found.Err(), found.Close()); err != nil {
		return err
	}
	filled := false
	if !written {
		if filled, err = s.filled(ctx, conn, st.table); err != nil {
			st.lost, err = asTableError(err)
			return err
		}
	}
	if !filled {
		st.is.pipeline, st.is.stream = s.pipeline, st.table.Stream
	}
	return nil
}

// filled reports whether t has a row that a sink wrote. The error may be a *TableError.
func (s *store) filled(ctx context.Context, conn *sql.Conn, t *rows.Table) (filled bool, err error) {
	query := "SELECT EXISTS (SELECT 1 FROM " + dialect.Quote(t.Name) + " WHERE LENGTH(" + rows.VersionColumn + ") > 0)"
	if err := conn.QueryRowContext(ctx, query).Scan(&filled); err != nil {
		return false, s.tableError(t, "read it", err)
	}
	return filled, nil
}

// asTableError tells an error that concerns one table from one that ends the claim.
func asTableError(err error) (lost, other error) {
	if misfit, ok := errors.AsType[*TableError](err); ok {
		return misfit, nil
	}
	return nil, err
}

// adoptTable makes a table ours. Whoever wrote it cannot commit after this, and we begin at the start of our topic: the
// epoch is higher than that of any row.
func (s *store) adoptTable(ctx context.Context, conn *sql.Conn, st *stake) error {
	from, before := "nobody that is known", st.topic
	if st.is.pipeline == "" {
		var highest []byte
		query := "SELECT MAX(SUBSTR(" + rows.VersionColumn + ", 9, 2)) FROM " + dialect.Quote(st.table.Name) // the epochs
		if err := conn.QueryRowContext(ctx, query).Scan(&highest); err != nil {
			st.lost, err = asTableError(s.tableError(st.table, "read it", err))
			return err
		}
		if len(highest) == 2 {
			st.is.epoch = binary.BigEndian.Uint16(highest)
		}
	} else {
		from = "the stream " + st.is.stream + " of the pipeline " + st.is.pipeline
		before = topics.Processed(st.is.pipeline, st.is.stream)
		if _, err := conn.ExecContext(ctx, "UPDATE millrace_offsets SET owner = NULL WHERE topic = ?", before); err != nil {
			return err
		}
		st.is.marking = false // the redo was the other's
		if _, err := conn.ExecContext(ctx, "UPDATE millrace_owners SET marking = 0 WHERE table_name = ?", st.table.Name); err != nil {
			return err
		}
	}
	if err := s.forgetTopic(ctx, conn, st.topic); err != nil {
		return err
	}
	st.why = fmt.Sprintf("the table %s was adopted, from %s: what %s holds replaces the rows. Other rows stay; those that the API shows no more go with `%s`",
		st.table.Name, from, st.topic, s.command("reset", st.table.Stream, "--sweep"))
	return s.raise(ctx, conn, st, before)
}

// forgetTopic has each partition of a topic begin again at its claim.
func (s *store) forgetTopic(ctx context.Context, conn *sql.Conn, topic string) error {
	var none [16]byte
	_, err := conn.ExecContext(ctx, "UPDATE millrace_offsets SET owner = NULL, topic_id = ?, witness = NULL WHERE topic = ?", none[:], topic)
	return err
}

// raise makes a table ours in its next epoch: above its own, and above those of the raw topic that its rows were raised
// from, for the raw topic may begin in epoch 0 again. from is the topic that they came by.
func (s *store) raise(ctx context.Context, conn *sql.Conn, st *stake, from string) error {
	highest, err := s.highestEpoch(ctx, conn, st.topic, from)
	if err != nil {
		return err
	}
	if highest = max(highest, st.is.epoch); highest == math.MaxUint16 {
		return fmt.Errorf("table %s: its topics were recreated %d times, and no version is higher", st.table.Name, highest)
	}
	st.is = owned{s.pipeline, st.table.Stream, st.topicID, highest + 1, st.is.marking}
	return s.setOwner(ctx, conn, st)
}

// highestEpoch is that of the records of topics that were applied.
func (s *store) highestEpoch(ctx context.Context, conn *sql.Conn, one, other string) (epoch uint16, err error) {
	found, err := conn.QueryContext(ctx, "SELECT high FROM millrace_offsets WHERE topic IN (?, ?)", one, other)
	if err != nil {
		return 0, err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var high []byte
		if err := found.Scan(&high); err != nil {
			return 0, err
		}
		epoch = max(epoch, binary.BigEndian.Uint16(high))
	}
	return epoch, found.Err()
}

func (s *store) setOwner(ctx context.Context, conn *sql.Conn, st *stake) error {
	_, err := conn.ExecContext(ctx, s.statements.SetOwner, st.is.pipeline, st.is.stream, st.is.topicID[:], st.is.epoch, st.table.Name)
	return err
}

// begins says, for people, why a claimed partition begins again, or why its table has another epoch; empty: it goes on.
func (b *bid) begins() string {
	if b.stake.why == "" && b.restarts {
		return fmt.Sprintf("the topic %s begins again, as a command declared, or another sink that found that it was recreated or adopted its table", b.topic)
	}
	return b.stake.why
}

// heldAs is by what this process has claimed a table.
type heldAs struct {
	topicID [16]byte
	sure    bool // it was ours, so it is not adopted again: two that both adopt it would never end
}

// hold notes a claim that was made.
func (s *store) hold(st *stake) {
	s.holding.Lock()
	defer s.holding.Unlock()
	if s.held == nil {
		s.held = map[string]heldAs{}
	}
	s.held[st.topic] = heldAs{st.topicID, true}
}

// claimedBy says by what this process has claimed the table of a topic, if it has.
func (s *store) claimedBy(topic string) heldAs {
	s.holding.Lock()
	defer s.holding.Unlock()
	return s.held[topic]
}
