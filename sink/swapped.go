package sink

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/millrace-io/millrace/pipeline"
	"github.com/millrace-io/millrace/sink/dialect"
	"github.com/millrace-io/millrace/sink/rows"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// errSwapping has a stream wait while its table is being swapped, and errSwapped until this process has heard that its
// table has another name. Neither is a fault.
var (
	errSwapping = errors.New("its table is being swapped")
	errSwapped  = errors.New("its table was swapped, and has another name")
)

// swapping reports of each table whether a swap keeps it from being claimed. The rows of millrace_owners are locked,
// which a step of a swap locks, too, before it is known; so what is read here holds until the claim is made.
func (s *store) swapping(ctx context.Context, conn *sql.Conn, all map[string]*stake) error {
	found, err := conn.QueryContext(ctx, "SELECT step, table_name, to_table FROM millrace_swaps")
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		var step SwapStep
		var table, next string
		if err := found.Scan(&step, &table, &next); err != nil {
			return err
		}
		if st := all[table]; st != nil {
			st.lost = errSwapping
		}
		if st := all[next]; st != nil && step == SwapRename {
			st.lost = errSwapping
		}
	}
	return found.Err()
}

func isSwap(err error) bool { return errors.Is(err, errSwapping) || errors.Is(err, errSwapped) }

// aside is what ends the name of a table of a line that is not live.
var aside = regexp.MustCompile(`__g[0-9]+$`)

// isSwapped reports whether the table of a stream has another name than t has: a swap has given it one.
func (s *store) isSwapped(ctx context.Context, db querier, t *rows.Table) (bool, error) {
	all, err := s.names(ctx, db, " AND stream = ?", t.Stream)
	return elsewhere(t, all[t.Stream]), err
}

// names are those of the tables that this pipeline writes, by stream. A stream may have had others, by other names of
// the file.
func (s *store) names(ctx context.Context, db querier, where string, args ...any) (map[string][]string, error) {
	found, err := db.QueryContext(ctx, "SELECT stream, table_name FROM millrace_owners WHERE pipeline = ?"+where, append([]any{s.pipeline}, args...)...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = found.Close() }()
	out := map[string][]string{}
	for found.Next() {
		var stream, name string
		if err := found.Scan(&stream, &name); err != nil {
			return nil, err
		}
		out[stream] = append(out[stream], name)
	}
	return out, found.Err()
}

// elsewhere reports whether one of these names is the other one that t may have, and none is its own.
func elsewhere(t *rows.Table, names []string) bool { return otherName(t, names) != "" }

// otherName is the one of these names that is the other one that t may have; empty: there is none, or one is its own.
func otherName(t *rows.Table, names []string) string {
	at := slices.IndexFunc(names, func(name string) bool {
		return aside.ReplaceAllString(name, "") == t.Name || aside.ReplaceAllString(t.Name, "") == name
	})
	if at < 0 || slices.Contains(names, t.Name) {
		return ""
	}
	return names[at]
}

// nameNow is the name that t has, as far as the swaps go that have ended.
func (s *store) nameNow(ctx context.Context, db querier, t *rows.Table) (string, error) {
	all, err := s.names(ctx, db, " AND stream = ?", t.Stream)
	return cmp.Or(otherName(t, all[t.Stream]), t.Name), err
}

// mineNow is the row of t in millrace_owners under the name that t has by now, and that name; the zero value with the
// name of before if this pipeline does not write it. One statement reads both, so that no swap comes between. A row
// without an owner counts: a command may have made it before the first claim.
func (s *store) mineNow(ctx context.Context, db querier, t *rows.Table) (name string, is owned, err error) {
	found, err := db.QueryContext(ctx, "SELECT table_name, pipeline, stream, topic_id, epoch, marking > 0 FROM millrace_owners"+
		" WHERE (pipeline = ? AND stream = ?) OR table_name = ?", s.pipeline, t.Stream, t.Name)
	if err != nil {
		return t.Name, is, err
	}
	defer func() { _ = found.Close() }()
	var mine []string
	all := map[string]owned{}
	for found.Next() {
		var name string
		var is owned
		var id []byte
		if err := found.Scan(&name, &is.pipeline, &is.stream, &id, &is.epoch, &is.marking); err != nil {
			return t.Name, owned{}, err
		}
		copy(is.topicID[:], id)
		switch {
		case is.pipeline == s.pipeline && is.stream == t.Stream:
			mine = append(mine, name)
		case is.pipeline != "":
			continue
		}
		all[name] = is
	}
	name = cmp.Or(otherName(t, mine), t.Name)
	return name, all[name], found.Err()
}

// renaming returns errSwapping if the table may be renamed at any moment. Its row of millrace_owners is locked, so that
// this holds.
func (s *store) renaming(ctx context.Context, db querier, table string) error {
	found, err := db.QueryContext(ctx, "SELECT 1 FROM millrace_swaps WHERE step = 'rename' AND (table_name = ? OR to_table = ?)", table, table)
	if err != nil {
		return err
	}
	defer func() { _ = found.Close() }()
	if found.Next() {
		return errSwapping
	}
	return found.Err()
}

// swapInTheWay says that a swap is in the way of a table.
func (s *store) swapInTheWay(ctx context.Context, t *rows.Table) error {
	switch is, err := s.isSwapped(ctx, s.db, t); {
	case err != nil:
		return s.dialect.Classify(err)
	case is:
		return errSwapped
	}
	var n int
	if err := s.db.QueryRowContext(ctx, "SELECT COUNT(*) FROM millrace_swaps WHERE table_name = ? OR to_table = ? AND step = 'rename'", t.Name, t.Name).
		Scan(&n); err != nil {
		return s.dialect.Classify(err)
	}
	if n > 0 {
		return errSwapping
	}
	return nil
}

// lookAtSwaps ends the swaps of this pipeline's tables whose drivers have died, and tells of those that are done and
// not told, if it has not looked for so long. An error is for the next look.
func (s *Sink) lookAtSwaps(ctx context.Context, every time.Duration) {
	if time.Since(s.swapsSeen) < every {
		return
	}
	s.swapsSeen = time.Now()
	ctx, cancel := context.WithTimeout(ctx, followTimeout)
	defer cancel()
	if d, ok := s.store.dialect.(dialect.Swapper); ok {
		if err := s.store.endSwaps(ctx, d); err != nil && ctx.Err() == nil {
			s.env.Log.Debug("a swap whose driver may have died is not ended yet", "err", err)
		}
	}
	names, err := s.store.names(ctx, s.store.db, "")
	if err != nil {
		return // the writers meet it too
	}
	for _, t := range s.tables.all() {
		if !elsewhere(t, names[t.Stream]) {
			continue
		}
		if err := s.tellSwapped(ctx, t); err != nil && ctx.Err() == nil {
			s.env.Log.Debug("not known yet which line is live", "stream", t.Stream, "err", err)
		}
	}
}

// endSwaps ends those of which nobody is the driver any more.
func (s *store) endSwaps(ctx context.Context, d dialect.Swapper) error {
	look := &Swapper{store: s, dialect: d}
	all, err := look.swaps(ctx, s.db, "from_pipeline = ? OR to_pipeline = ?", s.pipeline, s.pipeline)
	if err != nil {
		return err
	}
	var errs []error
	for _, x := range all {
		if err := s.endSwap(ctx, d, x.Swap); !errors.Is(err, ErrSwapping) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (s *store) endSwap(ctx context.Context, d dialect.Swapper, x Swap) error {
	end := &Swapper{store: s, dialect: d, swap: x}
	defer end.disconnect()
	return end.takeOver(ctx)
}

// tellSwapped tells which line's table has the name that readers know, if that is not what this process has heard:
// whoever swapped the tables may have died before it told.
func (s *Sink) tellSwapped(ctx context.Context, t *rows.Table) error {
	cfg := s.controlConfig()
	if s.pipeline.Line != nil {
		cfg.Pipeline = s.pipeline.Line.Of
	}
	table := s.pipeline.Stream(t.Stream).Sink.Table
	told := false
	now, err := control.Change(ctx, cfg, t.Stream, func(of *control.Stream) error {
		is, err := s.store.ownedNow(ctx, s.store.db, table) // after the id was taken, so that nobody tells what was before
		if err != nil {
			return s.store.dialect.Classify(err)
		}
		told = of.Swapped(lineOf(of, cfg.Pipeline, t.Stream, is.pipeline))
		if !told {
			return control.ErrUnchanged
		}
		return nil
	})
	if err == nil && told {
		s.env.Log.Warn("tables were swapped, and whoever did it did not live to tell", "stream", t.Stream, "table", table, "live_line", now.LiveNumber())
	}
	return err
}

// lineOf is the number of the line that a pipeline is; 0: of none that is known.
func lineOf(of *control.Stream, parent, stream, pipeline string) uint16 {
	if pipeline == parent {
		return control.BaseLine
	}
	for _, l := range of.Lines {
		if topics.LineName(parent, stream, l.Number) == pipeline {
			return l.Number
		}
	}
	return 0
}

// OwnerOf says which pipeline writes a table as the table of a stream of p: p itself, or one of its lines; empty: none
// yet.
func OwnerOf(ctx context.Context, p *pipeline.Pipeline, stream, table string) (string, error) {
	a, err := OpenAdmin(p)
	if err != nil {
		return "", err
	}
	defer a.Close()
	is, err := a.store.ownedNow(ctx, a.store.db, table)
	if err != nil && !a.store.dialect.Missing(err) {
		return "", fmt.Errorf("sink: stream %s: owner: %w", stream, a.store.dialect.Classify(err))
	}
	if is.stream != stream {
		return "", nil
	}
	return is.pipeline, nil
}
