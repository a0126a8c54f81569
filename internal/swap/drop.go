package swap

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/millrace-io/millrace/internal/stage"
	"github.com/millrace-io/millrace/topics"
	"github.com/millrace-io/millrace/topics/control"
)

// Dropped is a line that is to be dropped, or was.
type Dropped struct {
	Line   uint16
	State  control.LineState // that it had
	Table  string
	Topics []string // that are deleted with it
}

// PreviewDrop returns what Drop would do. The error is a *[RefusedError] if it would do nothing.
func (x *Lines) PreviewDrop(ctx context.Context, number uint16) (Dropped, error) {
	s, err := x.told(ctx)
	if err != nil {
		return Dropped{}, err
	}
	l, err := x.droppable(s, number)
	if err != nil {
		return Dropped{}, err
	}
	return Dropped{l.Number, l.State, l.Table, x.topicsOf(l.Number)}, nil
}

// droppable is the line of that number, or, of 0, the one that is not live, if there is one. By its number one may be
// dropped again: a stage that was cut off meanwhile may have created something of it again.
func (x *Lines) droppable(s *control.Stream, number uint16) (*control.Line, error) {
	var all []*control.Line
	var names []string
	for i := range s.Lines {
		l := &s.Lines[i]
		if l.Number == s.LiveNumber() || l.Number != number && (number != 0 || l.State == control.LineDropped) {
			continue
		}
		all, names = append(all, l), append(names, fmt.Sprintf("--line %d (%s)", l.Number, l.State))
	}
	switch {
	case len(all) > 1:
		return nil, x.refuse("which line is to be dropped? `%s` with %s", x.command("drop"), strings.Join(names, ", or "))
	case len(all) == 1:
		return all[0], nil
	case number != 0 && number == s.LiveNumber():
		return nil, x.refuse("line %d is live: `%s` makes the one before live again", number, x.command("rollback"))
	default:
		return nil, x.refuse("there is no line to drop; `%s` shows those that there are", x.command("status"))
	}
}

// topicsOf are the topics of a line, and of nothing else. Those of the base line are the pipeline's own, and stay.
func (x *Lines) topicsOf(number uint16) []string {
	if number == control.BaseLine {
		return nil
	}
	name := topics.LineName(x.pipeline.Name, x.stream.Name, number)
	return []string{topics.Processed(name, x.stream.Name), topics.DeadLetters(name, x.stream.Name), topics.Control(name)}
}

// Drop removes a line that is not live: its table, its topics and groups. First of all it is decided, so that stages
// end; a death afterwards leaves a line that is being dropped, for Drop to go on with. Its number is not given again.
func (x *Lines) Drop(ctx context.Context, number uint16) (Dropped, error) {
	s, err := x.told(ctx)
	if err != nil {
		return Dropped{}, err
	}
	is, err := x.droppable(s, number)
	if err != nil {
		return Dropped{}, err
	}
	from, to, err := x.dropLines(ctx, s, is.Number)
	if err != nil {
		return Dropped{}, err
	}
	out := Dropped{to.Number, to.State, to.Table, x.topicsOf(to.Number)}
	d, err := x.lock(ctx, from, to)
	if err != nil {
		return out, err
	}
	defer d.Close()
	if s, err = x.told(ctx); err != nil { // what a driver had left was finished, perhaps
		return out, err
	}
	if s.LiveNumber() == to.Number {
		return out, x.refuse("line %d is live now: a swap that had been begun before was finished", to.Number)
	}
	if err := x.decide(ctx, to.Number, func(l *control.Line) {
		if l.State != control.LineDropped {
			l.State = control.LineDropping
		}
	}); err != nil {
		return out, err
	}
	if err := x.ended(ctx, to); err != nil {
		return out, err
	}
	if err := d.Disown(ctx); err != nil {
		return out, err
	}
	if err := d.Drop(ctx); err != nil {
		return out, err
	}
	if len(out.Topics) > 0 {
		if err := x.delete(ctx, to.pipeline.Name, out.Topics); err != nil {
			return out, err
		}
	}
	return out, x.decide(ctx, to.Number, func(l *control.Line) { l.State, l.Definition = control.LineDropped, "" })
}

// dropLines are the live line, and the one that is dropped: its logic does not matter any more, nor whether its topics
// are there.
func (x *Lines) dropLines(ctx context.Context, s *control.Stream, number uint16) (from, to *line, err error) {
	if from, err = x.line(ctx, s, s.LiveNumber()); err != nil {
		return nil, nil, err
	}
	to = &line{Line: *s.Line(number), pipeline: x.pipeline}
	if number != control.BaseLine {
		to.pipeline = topics.LineOf(x.pipeline, x.stream, number, to.Table)
	}
	return from, to, nil
}

// decide changes a line in what is decided.
func (x *Lines) decide(ctx context.Context, number uint16, f func(*control.Line)) error {
	return persist(ctx, func(ctx context.Context) error {
		_, err := control.Change(ctx, x.control, x.stream.Name, func(s *control.Stream) error {
			l := s.Line(number)
			if l == nil || s.LiveNumber() == number {
				return control.ErrUnchanged
			}
			f(l)
			l.At = time.Now().UTC().Truncate(time.Second)
			return nil
		})
		return err
	})
}

const (
	endFor  = 30 * time.Second // how long stages of a line are waited for
	hearFor = 6 * time.Second  // in which a sink hears of what is decided: it looks every 2.5 s
)

// ended waits until no stage takes part in a line any more. One that has been cut off is not waited for: it finds
// neither table nor topic. Those of the base line run other streams, too.
func (x *Lines) ended(ctx context.Context, l *line) error {
	if l.Number == control.BaseLine {
		return stage.Sleep(ctx, hearFor)
	}
	groups := []string{topics.ProcessorGroup(l.pipeline.Name), topics.SinkGroup(l.pipeline.Name)}
	for until := time.Now().Add(endFor); time.Now().Before(until); {
		attempt, cancel := context.WithTimeout(ctx, 10*time.Second)
		found, err := kadm.NewClient(x.cl).DescribeGroups(attempt, groups...)
		cancel()
		members := 0
		for _, g := range found {
			members += len(g.Members)
		}
		if err == nil && members == 0 {
			return nil
		}
		if err := stage.Sleep(ctx, lookEvery); err != nil {
			return err
		}
	}
	x.tellf("stages of the line did not end within %s; it is dropped all the same", endFor)
	return nil
}

// delete deletes topics and groups that are there.
func (x *Lines) delete(ctx context.Context, pipeline string, names []string) error {
	return persist(ctx, func(ctx context.Context) error {
		adm := kadm.NewClient(x.cl)
		groups, err := adm.DeleteGroups(ctx, topics.ProcessorGroup(pipeline), topics.SinkGroup(pipeline), topics.ReplayGroup(pipeline, x.stream.Name))
		if err != nil {
			return fmt.Errorf("delete groups: %w", err)
		}
		for _, g := range groups.Sorted() {
			if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
				x.tellf("the group %s stays: %v", g.Group, g.Err)
			}
		}
		deleted, err := adm.DeleteTopics(ctx, names...)
		if err != nil {
			return fmt.Errorf("delete topics: %w", err)
		}
		for _, t := range deleted.Sorted() {
			if t.Err != nil && !errors.Is(t.Err, kerr.UnknownTopicOrPartition) {
				return fmt.Errorf("delete topic %s: %w", t.Topic, t.Err)
			}
		}
		return nil
	})
}
