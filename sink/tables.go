package sink

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// prepare looks which server it is and makes what is missing of millrace's own tables. No writer's connection runs DDL.
func (s *store) prepare(ctx context.Context, tables map[string]*rows.Table) error {
	if err := s.db.PingContext(ctx); err != nil {
		return s.dialect.Classify(err)
	}
	n, err := s.dialect.Inspect(ctx, s.db)
	if err != nil {
		return s.dialect.Classify(err)
	}
	s.bytes, s.statements, s.upserts = min(n, s.cfg.StatementBytes), s.dialect.Statements(), map[*rows.Table]dialect.Upsert{}
	if err := s.prepareOwn(ctx); err != nil {
		return err
	}
	for _, t := range tables {
		s.upserts[t] = s.dialect.Upsert(t)
	}
	return nil
}

// prepareOwn makes what is missing of millrace's own tables.
func (s *store) prepareOwn(ctx context.Context) error {
	for _, statement := range s.dialect.CreateOwn() {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create millrace's own tables: %w", s.dialect.Classify(err))
		}
	}
	if err := s.dialect.AddColumns(ctx, s.db); err != nil {
		return fmt.Errorf("alter millrace's own tables: %w", s.dialect.Classify(err))
	}
	return nil
}

// prepareTable makes t, the table of a processed topic, if it is missing, and checks that it can be written. It may be
// called again at any time. The error is a *TableError if the table needs an operator; any other may pass.
func (s *store) prepareTable(ctx context.Context, topic string, t *rows.Table) error {
	if err := s.swapInTheWay(ctx, t); err != nil {
		return err
	}
	err := s.prepareNamed(ctx, topic, t)
	if _, misfit := errors.AsType[*TableError](err); misfit { // the name may be another table's by now
		return cmp.Or(s.swapInTheWay(ctx, t), err)
	}
	return err
}

// prepareNamed is prepareTable of the table that has the name now.
func (s *store) prepareNamed(ctx context.Context, topic string, t *rows.Table) error {
	made, err := s.whole(ctx, topic, t)
	if err != nil {
		return err
	}
	problems, err := s.dialect.Check(ctx, s.db, t)
	if err != nil {
		return s.tableError(t, "look at it", err)
	}
	if len(problems) > 0 {
		return &TableError{Table: t.Name, Problems: problems}
	}
	for _, statement := range s.upserts[t].Probe {
		if _, err := s.db.ExecContext(ctx, statement); err != nil {
			return s.tableError(t, "try to write to it", err)
		}
	}
	if err := s.testimony(ctx, topic, t); err != nil {
		return err
	}
	s.kept.Store(t, kept{topic, made})
	_, err = s.db.ExecContext(ctx, "UPDATE millrace_tables SET made = ? WHERE topic = ? AND name = ?", made, topic, t.Name)
	return s.dialect.Classify(err)
}

// kept is what millrace_tables says of a table that has had rows of a topic: when it was made.
type kept struct{ topic, made string }

// keep notes, in the transaction that writes rows of tables, that these have had some: should another one be in the
// place of one then, and be empty, rows are missing. A table that never had any may be altered and made again. It
// writes once, and again after the table was altered.
func (w *writer) keep(ctx context.Context, shares []*rows.Share) error {
	clear(w.keeps)
	for _, s := range shares {
		found, _ := w.store.kept.Load(s.Table)
		now, _ := found.(kept)
		if len(s.Upserts) == 0 || w.kept[s.Table] == now {
			continue
		}
		values := rows.Values{}.Append(rows.Text, []byte(now.topic)).Append(rows.Text, []byte(s.Table.Name)).Append(rows.Text, []byte(now.made))
		w.sql = dialect.AppendValues(append(w.sql[:0], "REPLACE INTO millrace_tables (topic, name, made) VALUES ("...), w.store.dialect, values)
		if err := w.exec(ctx, string(append(w.sql, ')'))); err != nil {
			return fmt.Errorf("replace into millrace_tables: %w", err)
		}
		w.keeps[s.Table] = now
	}
	return nil
}

// whole makes t if it is missing, and returns when it was made. What was written to a table before must be in it.
func (s *store) whole(ctx context.Context, topic string, t *rows.Table) (made string, err error) {
	made, there, err := s.still(ctx, topic, t)
	if err != nil || there {
		return made, err
	}
	return s.make(ctx, t)
}

// still returns when t was made; there is false if it is to be made. That it has lost what was written to it is a
// *TableError: the positions of its topic say that there was something. They are read first, for another sink makes a
// table before it claims. During a redo it need not be.
func (s *store) still(ctx context.Context, topic string, t *rows.Table) (made string, there bool, err error) {
	var written bool
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) > 0 FROM millrace_offsets WHERE topic = ? AND next_offset > 0", topic).
		Scan(&written); err != nil {
		return "", false, s.dialect.Classify(err)
	}
	made, there, err = s.made(ctx, t)
	switch {
	case err != nil:
		return "", false, err
	case there && !written:
		return made, true, nil
	case there:
		return made, true, s.sameTable(ctx, topic, t, made)
	case written && !s.marking(ctx, t):
		if _, err := s.db.ExecContext(ctx, "SELECT 1 FROM "+dialect.Quote(t.Name)+" LIMIT 0"); err != nil {
			if e, ok := errors.AsType[*TableError](s.tableError(t, "read it", err)); ok && !s.dialect.Missing(err) {
				return "", false, e // it may be there, and hidden from us
			}
		}
		return "", false, &TableError{Table: t.Name, Problems: []string{fmt.Sprintf(
			"it is not there, though records of %s were written to it. A table made now would lack them: %s", topic, s.replay(t))}}
	}
	return "", false, nil
}

// make makes a table that is missing, and returns when.
func (s *store) make(ctx context.Context, t *rows.Table) (made string, err error) {
	if s.may != nil {
		if err := s.may(ctx); err != nil {
			return "", err
		}
	}
	if _, err := s.db.ExecContext(ctx, s.dialect.CreateTable(t)); err != nil {
		return "", s.tableError(t, "create it", err)
	}
	made, _, err = s.made(ctx, t)
	return made, err
}

// replay is the remedy for a table that has lost rows.
func (s *store) replay(t *rows.Table) string {
	return "process all records again, which makes them: " + s.command("replay", t.Stream) +
		"; or restore it, together with millrace_offsets and millrace_marks, from one backup"
}

// marking reports whether a redo is under way, which makes the rows of a table again.
func (s *store) marking(ctx context.Context, t *rows.Table) bool {
	_, is, err := s.mineNow(ctx, s.db, t)
	return err == nil && is.marking
}

// sameTable checks that t is the table that was written, not an empty one in its place. One that never had rows may be
// empty.
func (s *store) sameTable(ctx context.Context, topic string, t *rows.Table, made string) error {
	var was string
	err := s.db.QueryRowContext(ctx, "SELECT made FROM millrace_tables WHERE topic = ? AND name = ?", topic, t.Name).Scan(&was)
	switch {
	case errors.Is(err, sql.ErrNoRows), err == nil && was == made:
		return nil
	case err != nil:
		return s.dialect.Classify(err)
	}
	var filled bool
	if err := s.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+dialect.Quote(t.Name)+")").Scan(&filled); err != nil {
		return s.tableError(t, "read it", err)
	}
	if !filled {
		return &TableError{Table: t.Name, Problems: []string{fmt.Sprintf(
			"it is empty, and was made at %s, after records of %s had been written to it: %s", made, topic, s.replay(t))}}
	}
	return nil
}

// made says when t was made, and whether it is there.
func (s *store) made(ctx context.Context, t *rows.Table) (made string, there bool, err error) {
	all, err := s.dialect.Made(ctx, s.db, []string{t.Name})
	if err != nil {
		return "", false, s.dialect.Classify(err)
	}
	made, there = all[strings.ToLower(t.Name)]
	return made, there, nil
}

// tableError classifies what the database answered to a statement that only concerns t.
func (s *store) tableError(t *rows.Table, doing string, err error) error {
	err = fmt.Errorf("%s: %w", doing, s.dialect.Classify(err))
	if _, refused := errors.AsType[*dialect.RefusedError](err); refused {
		return &TableError{Table: t.Name, Err: err}
	}
	if defect, ok := errors.AsType[*dialect.DefectError](err); ok && !defect.Server {
		return &TableError{Table: t.Name, Err: err}
	}
	if s.dialect.Reason(err) == dialect.LockTimeout {
		return &TableError{Table: t.Name, Err: fmt.Errorf("%w; another session locks the table: end it", err)}
	}
	return fmt.Errorf("table %s: %w", t.Name, err)
}

// forget closes the connections that are idle: the server keeps what it knows of an account's rights with a session.
func (s *store) forget() {
	s.db.SetMaxIdleConns(0)
	s.db.SetMaxIdleConns(idleConnections)
}

// idleConnections is how many connections are kept that nobody uses, which is database/sql's default.
const idleConnections = 2
