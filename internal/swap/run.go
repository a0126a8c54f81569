package swap

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/sink"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/admin"
	"github.com/millrace-io/millrace/topics/control"
)

// Ask is which swap is asked for.
type Ask struct {
	Back    bool          // to the line that was live before
	Line    uint16        // to this line; 0: the one that Back says
	Partial bool          // also if the raw topic lacks its beginning, so that rows may be missing
	Wait    time.Duration // for the other line to catch up, and for sessions that read; then it is refused
}

// frozenFor is how long the live line may stand still: less than until others take the driver for dead.
const frozenFor = 25 * time.Second

// Plan is what a swap would do.
type Plan struct {
	Table    string
	From, To uint16 // lines
	Aside    string // what the table of From is called afterwards
	Next     string // what the table of To is called now
}

// Preview returns what Swap would do. The error is a *[RefusedError] if it would do nothing.
func (x *Lines) Preview(ctx context.Context, ask Ask) (Plan, error) {
	s, err := x.told(ctx)
	if err != nil {
		return Plan{}, err
	}
	from, to, err := x.choose(s, ask)
	if err != nil {
		return Plan{}, err
	}
	return Plan{x.stream.Sink.Table, from, to, s.Line(from).Table, s.Line(to).Table}, nil
}

// choose finds the lines of a swap.
func (x *Lines) choose(s *control.Stream, ask Ask) (from, to uint16, err error) {
	from = s.LiveNumber()
	var since time.Time // when the line before stopped being live
	for _, l := range s.Lines {
		switch {
		case l.Number == from || !l.State.Runs():
		case ask.Line != 0:
			if l.Number == ask.Line {
				to = l.Number
			}
		case ask.Back && l.Number < from && l.State == control.LineOld:
			if !l.At.Before(since) { // a higher one may have been taken back before
				to, since = l.Number, l.At
			}
		case !ask.Back && l.Number > from:
			to = l.Number // the highest
		}
	}
	switch {
	case to == 0 && ask.Line != 0:
		return 0, 0, x.refuse("there is no line %d to swap to; `%s` shows the lines", ask.Line, x.command("status"))
	case to == 0 && ask.Back:
		return 0, 0, x.refuse("line %d is live, and there is no line that was live before it; `%s` shows the lines", from, x.command("status"))
	case to == 0:
		return 0, 0, x.refuse("there is no line beside the live one that is newer: `%s` builds one; `%s` goes back to the one before",
			x.env.Command("replay", x.stream.Name, "--shadow"), x.command("rollback"))
	}
	if l := s.Line(to); l.State == control.LineBuilding && l.BuiltAt.IsZero() {
		return 0, 0, x.refuse("line %d is not built yet: `%s` shows how far it is", to, x.command("status"))
	}
	return from, to, nil
}

// Swap swaps the tables of two lines, while both are processed. What was begun before, by this process or another, is
// ended first. The error is a *[RefusedError] if nothing was done; a *[LateError] or a *[sink.RenameError] if it was
// taken back: the table is as before. After any other error it may be done, or be under way: sinks end it, or whoever
// calls Swap again.
func (x *Lines) Swap(ctx context.Context, ask Ask) (Plan, error) {
	s, err := x.told(ctx)
	if err != nil {
		return Plan{}, err
	}
	d, from, to, err := x.driver(ctx, s, ask)
	if err != nil {
		return Plan{}, err
	}
	defer d.Close()
	plan := Plan{x.stream.Sink.Table, from.Number, to.Number, from.Table, to.Table}
	if err := x.ready(ctx, d, from, to, ask); err != nil {
		return plan, err
	}
	if err := x.drive(ctx, d, from, to); err != nil {
		return plan, err
	}
	return plan, persist(ctx, func(ctx context.Context) error {
		_, err := x.told(ctx)
		return err
	})
}

// driver has the lock of the swap that is asked for. What another driver had left may have been finished by it, which
// changes what there is to do.
func (x *Lines) driver(ctx context.Context, s *control.Stream, ask Ask) (d *sink.Swapper, from, to *line, err error) {
	for range 2 {
		f, t, err := x.choose(s, ask)
		if err != nil {
			return nil, nil, nil, err
		}
		if from, err = x.line(ctx, s, f); err != nil {
			return nil, nil, nil, err
		}
		if to, err = x.line(ctx, s, t); err != nil {
			return nil, nil, nil, err
		}
		if d, err = x.lock(ctx, from, to); err != nil {
			return nil, nil, nil, err
		}
		now, err := x.told(ctx)
		if err == nil && now.LiveNumber() == f {
			return d, from, to, nil
		}
		d.Close()
		if err != nil {
			return nil, nil, nil, err
		}
		if now.LiveNumber() == t { // it was under way, and is done now
			return nil, nil, nil, x.refuse("line %d is live now: a swap that had been begun before was finished", t)
		}
		s = now
	}
	return nil, nil, nil, x.refuse("others swap its tables")
}

// lock makes the connection that drives. Another driver is waited for as long as it may take for dead.
func (x *Lines) lock(ctx context.Context, from, to *line) (*sink.Swapper, error) {
	d, err := sink.OpenSwapper(x.pipeline, sink.Swap{
		Pipeline: x.pipeline.Name, Stream: x.stream.Name, Table: x.stream.Sink.Table, From: from.swapLine(), To: to.swapLine(),
	}, x.env.Instance)
	if err != nil {
		return nil, err
	}
	if x.Driver != nil {
		x.Driver(d)
	}
	for until := time.Now().Add(frozenFor + 15*time.Second); ; {
		err := d.Lock(ctx)
		if err == nil {
			return d, nil
		}
		if !errors.Is(err, sink.ErrSwapping) || time.Now().After(until) {
			d.Close()
			return nil, err
		}
		x.tellf("waiting: another process swaps the tables of %s", x.stream.Name)
		if err := stage.Sleep(ctx, time.Second); err != nil {
			d.Close()
			return nil, err
		}
	}
}

// ready refuses what must not be swapped, and waits for what passes by itself.
func (x *Lines) ready(ctx context.Context, d *sink.Swapper, from, to *line, ask Ask) error {
	for _, l := range []*line{from, to} {
		if l.of.Redo != nil {
			return x.refuse("a replay of line %d is under way, begun by %s: `%s` shows it; swap when it has ended", l.Number, l.of.Redo.By, x.command("status"))
		}
	}
	if to.State == control.LineBuilding && !ask.Partial {
		if err := x.whole(ctx, to); err != nil {
			return err
		}
	}
	obstacles, err := d.Obstacles(ctx, to.stream(), append(from.columns(), to.columns()...))
	if err != nil {
		return err
	}
	if len(obstacles) > 0 {
		return &RefusedError{x.stream.Name, obstacles}
	}
	reached, err := x.applied(ctx, from)
	if err != nil {
		return err
	}
	if err := x.await(ctx, to, reached, ask.Wait, d.Ping); err != nil {
		return err
	}
	return x.readers(ctx, d, to, ask.Wait)
}

// whole refuses a line that was built from a raw topic without its beginning: keys whose only records were there are
// missing.
func (x *Lines) whole(ctx context.Context, to *line) error {
	raw := topics.RawOf(to.pipeline, x.stream.Name)
	starts, err := admin.Starts(ctx, kadm.NewClient(x.cl), raw)
	if err != nil {
		return err
	}
	var lacks []string
	for _, partition := range slices.Sorted(maps.Keys(starts)) {
		if start := starts[partition]; start > 0 {
			lacks = append(lacks, fmt.Sprintf("partition %d begins at %d", partition, start))
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	return x.refuse("%s is not whole, so line %d may lack rows that the table has: %s. `%s` counts them; "+
		"`%s` fetches all again; --partial swaps all the same", raw, to.Number, strings.Join(lacks, ", "), x.command("diff"), x.env.Command("reset", x.stream.Name))
}

// readers waits for sessions that would not see what the new table has, or that hold one of the tables.
func (x *Lines) readers(ctx context.Context, d *sink.Swapper, to *line, within time.Duration) error {
	const moment = 2 * time.Second // as long as a session may hold a table without being named
	until, logged := time.Now().Add(within), time.Time{}
	for {
		names, err := d.Readers(ctx, to.BuiltAt, moment)
		if err == nil {
			err = d.Ping(ctx)
		}
		if err != nil || len(names) == 0 {
			return err
		}
		if time.Now().After(until) {
			return &RefusedError{x.stream.Name, append([]string{fmt.Sprintf("sessions were still in the way after %s; end them, or swap later:", within)}, names...)}
		}
		if time.Since(logged) > tellEvery {
			logged = time.Now()
			x.tellf("waiting for sessions: %s", strings.Join(names, "; "))
		}
		if err := stage.Sleep(ctx, 500*time.Millisecond); err != nil {
			return err
		}
	}
}

// drive takes the steps. Where one fails, the swap is taken back; if that is not possible, whoever comes next does it.
func (x *Lines) drive(ctx context.Context, d *sink.Swapper, from, to *line) (err error) {
	defer func() {
		if err == nil {
			return
		}
		if busy, ok := errors.AsType[*sink.RenameError](err); ok {
			if names, failed := d.Readers(ctx, time.Time{}, 0); failed == nil && len(names) > 0 {
				err = fmt.Errorf("%w; now: %s", busy, strings.Join(names, "; "))
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		finished, failed := d.Clear(ctx)
		switch {
		case failed != nil:
			err = fmt.Errorf("%w; a sink that runs ends the swap, or `%s`", err, x.command("swap"))
		case finished:
			err = nil
		}
	}()
	if err := d.Freeze(ctx); err != nil {
		return err
	}
	reached, err := x.applied(ctx, from) // it stands still
	if err != nil {
		return err
	}
	if err := x.await(ctx, to, reached, frozenFor, d.Ping); err != nil {
		return err
	}
	if err := d.Rename(ctx); err != nil {
		return err
	}
	return d.Finish(ctx)
}
