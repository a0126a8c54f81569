package sink

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
)

// Comparison is what processed records would do to their table as it is.
type Comparison struct {
	Equal   int64 // rows that stay as they are
	Changed int64 // rows of which columns change
	Added   int64 // rows that are not there
	Removed int64 // rows that go
	MovedOn int64 // rows that a newer record has made, or removed records that one has come after: they stay
	Behind  int64 // of those that are equal or change, rows of an older record: the newer one is not written yet
	Refused int64 // records that would be letters

	Columns map[string]int64 // changed rows, by column
	Reasons map[string]int64 // refused records, by reason: the first reasonsKept of them, and "others"
	Lacks   []string         // columns that the table does not have; they are not compared

	Examples []Example // the first of each kind
}

// Example is one value that would change, one row that would come or go, or one record that would be refused.
type Example struct {
	Kind          ExampleKind
	Key           string  // values of the key columns, or the record's key
	Column        string  // of ExampleChanged
	Before, After *string // of ExampleChanged; nil: null
	Reason        string  // of ExampleRefused
}

// ExampleKind says what happens.
type ExampleKind string

// The kinds of examples.
const (
	ExampleChanged ExampleKind = "changed"
	ExampleAdded   ExampleKind = "added"
	ExampleRemoved ExampleKind = "removed"
	ExampleRefused ExampleKind = "refused"
)

const (
	// compareRecords and compareBytes bound what is compared at once, and so what is in memory.
	compareRecords = 5000
	compareBytes   = 8 << 20
	// examplesKept is how many rows, or records, of each kind are examples.
	examplesKept = 10
	reasonsKept  = 20
	// compareTable is the session's own table. The pipeline file takes no table whose name begins so.
	compareTable = "millrace_compare"
	others       = "others"
)

// Compare says what records of a stream's processed topic would do to its table: the newest record of each key, as a
// redo sends them. They are decoded and loaded as the sink does, into a temporary table of the session, a few thousand
// at a time, and compared there by their bytes. The table is only read, without locks, and may be written meanwhile.
// records may give an error, which ends Compare. The error is a *[TableError] if the table does not fit but for columns
// that it lacks. What triggers and foreign keys of the table refuse is not known before they do.
func Compare(ctx context.Context, p *pipeline.Pipeline, stream string, records iter.Seq2[*kgo.Record, error]) (*Comparison, error) {
	c, err := newComparer(ctx, p, stream)
	if err != nil {
		return nil, fmt.Errorf("sink: stream %s: compare: %w", stream, err)
	}
	defer c.store.close()
	defer c.writer.disconnect()
	var chunk []*kgo.Record
	size := 0
	for r, err := range records {
		if err != nil {
			return nil, err
		}
		chunk = append(chunk, r)
		if size += len(r.Key) + len(r.Value); len(chunk) < compareRecords && size < compareBytes {
			continue
		}
		if err := c.persist(ctx, chunk); err != nil {
			return nil, fmt.Errorf("sink: stream %s: compare: %w", stream, err)
		}
		chunk, size = chunk[:0], 0
	}
	if err := c.persist(ctx, chunk); err != nil {
		return nil, fmt.Errorf("sink: stream %s: compare: %w", stream, err)
	}
	return &c.is, nil
}

// comparer compares with one session.
type comparer struct {
	store   *store
	writer  *writer
	decoder *rows.Decoder
	table   *rows.Table
	copy    *rows.Table   // the temporary one
	shared  []rows.Column // of both, without the key
	like    string        // the table; empty: it is not there
	lacks   []rows.Column
	epoch   uint16 // of the table
	is      Comparison
}

func newComparer(ctx context.Context, p *pipeline.Pipeline, stream string) (_ *comparer, err error) {
	a, err := OpenAdmin(p)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			a.Close()
		}
	}()
	st, err := a.stream(stream)
	if err != nil {
		return nil, fmt.Errorf("sink: %w", err)
	}
	t := rows.NewTable(st)
	s := a.store
	name, is, err := s.mineNow(ctx, s.db, t)
	if err != nil && !s.dialect.Missing(err) {
		return nil, fmt.Errorf("sink: stream %s: owner: %w", stream, s.dialect.Classify(err))
	}
	t.Name = name
	if s.bytes, err = s.dialect.Inspect(ctx, s.db); err != nil {
		return nil, s.dialect.Classify(err)
	}
	s.bytes, s.statements = min(s.bytes, s.cfg.StatementBytes), s.dialect.Statements()
	c := &comparer{
		store: s, writer: newWriter(s), decoder: rows.NewDecoder(), table: t, epoch: is.epoch,
		is: Comparison{Columns: map[string]int64{}, Reasons: map[string]int64{}},
	}
	if err := c.look(ctx); err != nil {
		return nil, err
	}
	twin := *c.table
	twin.Name = compareTable
	c.copy = &twin
	s.upserts = map[*rows.Table]dialect.Upsert{c.copy: s.dialect.Upsert(c.copy)}
	return c, nil
}

// look looks which columns the table has.
func (c *comparer) look(ctx context.Context) error {
	names, err := c.columns(ctx)
	if c.store.dialect.Missing(err) {
		return nil
	}
	if err != nil {
		return c.store.tableError(c.table, "read it", err)
	}
	for i, column := range c.table.Columns {
		switch has := slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, column.Name) }); {
		case !has:
			c.lacks = append(c.lacks, column)
			c.is.Lacks = append(c.is.Lacks, column.Name)
		case !slices.Contains(c.table.Key, i):
			c.shared = append(c.shared, column)
		}
	}
	problems, err := c.store.dialect.Check(ctx, c.store.db, c.table)
	if err != nil {
		return c.store.tableError(c.table, "look at it", err)
	}
	if len(problems) > len(c.lacks) {
		return &TableError{Table: c.table.Name, Problems: problems}
	}
	c.like = c.table.Name
	return nil
}

// columns are the names of the table's columns.
func (c *comparer) columns(ctx context.Context) ([]string, error) {
	//nolint:unqueryvet // it asks which columns there are
	found, err := c.store.db.QueryContext(ctx, "SELECT * FROM "+dialect.Quote(c.table.Name)+" LIMIT 0")
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	names, err := found.Columns()
	return names, errors.Join(err, found.Err())
}

// persist compares a chunk, again where another attempt may succeed.
func (c *comparer) persist(ctx context.Context, chunk []*kgo.Record) error {
	if len(chunk) == 0 {
		return nil
	}
	wait := stage.NewBackoff()
	for attempt := 1; ; attempt++ {
		before := c.is.clone()
		err := c.compare(ctx, chunk)
		if err == nil {
			return nil
		}
		c.writer.disconnect()
		c.is = before
		_, table := errors.AsType[*TableError](err)
		_, defect := errors.AsType[*dialect.DefectError](err)
		if table || defect || attempt == 5 || stage.Sleep(ctx, wait.NextBackOff()) != nil {
			return err
		}
	}
}

func (x *Comparison) clone() Comparison {
	out := *x
	out.Columns, out.Reasons, out.Examples = maps.Clone(x.Columns), maps.Clone(x.Reasons), slices.Clone(x.Examples)
	return out
}

func (c *comparer) compare(ctx context.Context, chunk []*kgo.Record) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.writer.connect(ctx); err != nil {
		return err
	}
	for _, statement := range c.store.dialect.Temporary(c.copy, c.like, c.lacks) {
		if err := c.writer.exec(ctx, statement); err != nil {
			return fmt.Errorf("make a temporary table, for which the user needs CREATE TEMPORARY TABLES: %w", err)
		}
	}
	c.decoder.Reset()
	changes := make([]rows.Change, len(chunk))
	for i, r := range chunk {
		x := &changes[i]
		c.decoder.Decode(x, c.table, r)
		if x.Valid {
			x.Version = x.Version.Raised(c.epoch)
		}
		if x.Reason != nil {
			c.refuse(x)
		}
	}
	for _, share := range rows.Newest(changes) {
		if err := c.removals(ctx, share.Removes); err != nil {
			return err
		}
		if err := c.load(ctx, share.Upserts); err != nil {
			return err
		}
	}
	return c.count(ctx)
}

// refuse notes a record that would be a letter.
func (c *comparer) refuse(x *rows.Change) {
	c.is.Refused++
	reason := x.Reason.Error()
	if c.is.Reasons[reason] == 0 && len(c.is.Reasons) >= reasonsKept {
		reason = others
	}
	c.is.Reasons[reason]++
	c.example(Example{Kind: ExampleRefused, Key: string(x.Record.Key), Reason: x.Reason.Error()})
}

// example keeps an example, if there are not enough of its kind.
func (c *comparer) example(e Example) {
	if c.wants(e.Kind) > 0 {
		c.is.Examples = append(c.is.Examples, e)
	}
}

// wants is of how many rows more there can be examples.
func (c *comparer) wants(kind ExampleKind) int {
	keys := map[string]bool{}
	for _, e := range c.is.Examples {
		if e.Kind == kind {
			keys[e.Key] = true
		}
	}
	return examplesKept - len(keys)
}

// load upserts into the temporary table. What is refused is found by halves.
func (c *comparer) load(ctx context.Context, changes []*rows.Change) error {
	if len(changes) == 0 {
		return nil
	}
	err := c.writer.upsert(ctx, c.copy, changes)
	refused, ok := errors.AsType[*dialect.RefusedError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, dialect.ErrBulk):
		return c.load(ctx, changes) // by INSERT
	case !ok:
		return err
	case len(changes) > 1:
		half := len(changes) / 2
		return errors.Join(c.load(ctx, changes[:half]), c.load(ctx, changes[half:]))
	}
	changes[0].Reason = refused
	c.refuse(changes[0])
	return nil
}

// removals counts the rows that would go.
func (c *comparer) removals(ctx context.Context, removes []*rows.Change) error {
	if c.like == "" {
		return nil
	}
	for group := range slices.Chunk(removes, removeAtOnce) {
		if err := c.removal(ctx, group); err != nil {
			return err
		}
	}
	return nil
}

func (c *comparer) removal(ctx context.Context, group []*rows.Change) error {
	names := dialect.KeyNames(c.table)
	query := fmt.Appendf(nil, "SELECT %s, %s < CASE", names, rows.VersionColumn)
	for _, x := range group {
		query = append(dialect.AppendValues(fmt.Appendf(query, " WHEN (%s) = (", names), c.store.dialect, x.Key), ") THEN "...)
		query = c.store.dialect.AppendLiteral(query, rows.Value{Form: rows.Bytes, Bytes: x.Version[:]})
	}
	query = fmt.Appendf(query, " END FROM %s WHERE ", dialect.Quote(c.table.Name))
	for i, x := range group {
		if i > 0 {
			query = append(query, " OR "...)
		}
		query = append(dialect.AppendValues(fmt.Appendf(query, "(%s) = (", names), c.store.dialect, x.Key), ')')
	}
	return c.each(ctx, string(query), func(values []sql.RawBytes) {
		last := len(values) - 1
		if string(values[last]) != "1" {
			c.is.MovedOn++
			return
		}
		c.is.Removed++
		c.example(Example{Kind: ExampleRemoved, Key: key(values[:last])})
	})
}
